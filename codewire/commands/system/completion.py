"""`cw completion`: shell scripts, and the candidates they ask for with the hidden `cw __complete`.

The scripts know nothing: words, flags, sessions and tags come from one call (spec/cli.md 14).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from codewire.commands import output, table, usage
from codewire.errors import CodewireError, UsageError
from codewire.paths import check_owner, home

if TYPE_CHECKING:
    from codewire.commands.context import Context
    from codewire.wire.answers.sessions import SessionInfo

SHELLS = ("bash", "zsh", "fish", "powershell")
# What the last line of the candidates says: files are welcome, or not.
FILES, NO_FILES = ":0", ":4"

# Commands about a relay's nodes alone.
OF_RELAY = frozenset(("ssh", "ssh-config", "network revoke"))

# Somebody has pressed Tab: a node that does not answer must not hold up the shell.
SECONDS = 2.0

BASH = """\
# bash completion for cw
_cw() {
    local IFS=$'\\n' cur=${COMP_WORDS[COMP_CWORD]} line words=()
    local found=($(cw __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
    COMPREPLY=()
    ((${#found[@]})) || return
    local last=$((${#found[@]} - 1))
    for line in "${found[@]:0:last}"; do
        line=${line%%$'\\t'*}
        [[ $line == "$cur"* ]] && COMPREPLY+=("$line")
    done
    if [[ ${#COMPREPLY[@]} == 0 && ${found[last]} == ":0" ]]; then
        compopt -o filenames 2>/dev/null
        COMPREPLY=($(compgen -f -- "$cur"))
    fi
}
complete -F _cw cw
"""

ZSH = """\
#compdef cw
# zsh completion for cw
_cw() {
    local -a found described
    local line
    found=("${(@f)$(cw __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    local directive=$found[-1]
    for line in "${(@)found[1,-2]}"; do
        described+=("${${line%%$'\\t'*}//:/\\\\:}${${(M)line:#*$'\\t'*}:+:${line#*$'\\t'}}")
    done
    (( $#described )) && _describe 'cw' described
    [[ $directive == ":0" ]] && _files
    return 0
}
if [ "$funcstack[1]" = "_cw" ]; then
    _cw "$@"
else
    compdef _cw cw
fi
"""

FISH = """\
# fish completion for cw
function __cw_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l found (cw __complete $words[2..-1] 2>/dev/null)
    test (count $found) -gt 0; or return
    if test (count $found) -gt 1
        printf '%s\\n' $found[1..-2]
    end
    if test "$found[-1]" = ":0"
        __fish_complete_path (commandline -ct)
    end
end
complete -c cw -f -a '(__cw_complete)'
"""

POWERSHELL = """\
# PowerShell completion for cw
Register-ArgumentCompleter -Native -CommandName cw -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = @($commandAst.CommandElements |
        Where-Object { $_.Extent.StartOffset -lt $cursorPosition } |
        ForEach-Object { $_.Extent.Text })
    $words = @($words | Select-Object -Skip 1)
    # An empty argument would be lost on its way in older versions.
    if ($wordToComplete -eq '') { $words += '""' }
    $found = @(cw __complete @words 2>$null)
    if ($found.Count -lt 2) { return }
    $found[0..($found.Count - 2)] | ForEach-Object {
        $text, $help = $_ -split "`t", 2
        if ($text -like "$wordToComplete*") {
            if (-not $help) { $help = $text }
            [System.Management.Automation.CompletionResult]::new(
                $text, $text, 'ParameterValue', $help)
        }
    }
}
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH, "powershell": POWERSHELL}
ZSH_FRAMEWORKS = ("oh-my-zsh", "prezto", "zinit", "antidote", "zimfw")
ZSH_DIRECTORIES = (
    "/opt/homebrew/share/zsh/site-functions",
    "/usr/local/share/zsh/site-functions",
    "/usr/share/zsh/site-functions",
)


def completion(args: dict[str, Any], context: Context) -> int:
    """Print or install what makes a shell complete commands, flags, sessions, tags and servers.

    The shell is bash, zsh, fish or powershell; without one zsh, with --install the one $SHELL
    names.

    Usage:
      cw completion [options] [<shell>]

    Options:
          --install  Write it where the shell finds it

    Examples:
      cw completion --install
      eval "$(cw completion bash)"
    """
    shell = args["<shell>"]
    if shell is None:
        shell = os.path.basename(os.environ.get("SHELL", "")) if args["--install"] else "zsh"
    if shell not in SHELLS:
        raise UsageError(f'unsupported shell "{shell}"; use bash, zsh, fish, or powershell')
    if not args["--install"]:
        output.write(SCRIPTS[shell])
        return 0
    path, hint = _install(shell)
    output.note(f"{shell} completion installed: {path}")
    if hint:
        output.note(hint)
    return 0


def installed_path(shell: str) -> str | None:
    """Return where a shell's script was installed, None when it was not."""
    # Where packages put it, and where cw did before it kept to HOME.
    system = [os.path.join(d, "_cw") for d in ZSH_DIRECTORIES] if shell == "zsh" else []
    return next((path for path in (_place(shell), *system) if os.path.exists(path)), None)


def _place(shell: str) -> str:
    """Return where a shell's script belongs: with the user's own files, also when that is root."""
    if shell == "fish":
        config = os.environ.get("XDG_CONFIG_HOME") or os.path.join(home(), ".config")
        return os.path.join(config, "fish/completions/cw.fish")
    if shell == "bash":
        # Where the bash-completion package looks by itself.
        data = os.environ.get("XDG_DATA_HOME") or os.path.join(home(), ".local/share")
        return os.path.join(data, "bash-completion/completions/cw")
    if shell == "powershell":
        config = os.environ.get("XDG_CONFIG_HOME") or os.path.join(home(), ".config")
        return os.path.join(config, "powershell/cw.ps1")
    framework = os.environ.get("ZSH", "")
    if framework.startswith(os.path.join(home(), "")) and os.path.isdir(framework):
        return os.path.join(framework, "completions", "_cw")
    return os.path.join(home(), ".zfunc", "_cw")


def _hint(shell: str, path: str) -> str:
    """Return what the shell's user must still do, "" for nothing."""
    if shell == "fish":
        return ""
    if shell == "bash":
        return f"If bash does not find it by itself, add to ~/.bashrc: source {path}"
    if shell == "powershell":
        return f"Add to the file that $PROFILE names: . {path}"
    settings = _zsh_settings()
    knows_place = ".zfunc" in settings or ".zfunc" not in path
    # Frameworks run it themselves.
    has_compinit = any(word in settings for word in ("compinit", *ZSH_FRAMEWORKS))
    if has_compinit:
        return "" if knows_place else "Add to ~/.zshrc, before compinit: fpath+=~/.zfunc"
    lines = "" if knows_place else "fpath+=~/.zfunc; "
    return (
        "zsh completes nothing yet: ~/.zshrc runs no compinit. Add to it: "
        f"{lines}autoload -Uz compinit && compinit"
    )


def _zsh_settings() -> str:
    """Return what the user's zsh reads at its start, without comments; "" where that is nothing."""
    directory = os.environ.get("ZDOTDIR") or home()
    text = ""
    for name in (".zshenv", ".zshrc"):
        try:
            with open(os.path.join(directory, name), encoding="utf-8", errors="replace") as file:
                lines = file.read(1 << 20).splitlines()
        except OSError:
            continue
        text += "".join(f"{line}\n" for line in lines if not line.lstrip().startswith("#"))
    return text


def _install(shell: str) -> tuple[str, str]:
    """Write the script where the shell looks; return the path and what is left to do."""
    path = _place(shell)
    check_owner(path)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(SCRIPTS[shell])
    except OSError as error:
        raise CodewireError(f"writing {path}: {output.go_cause(error)}") from error
    return path, _hint(shell, path)


def complete(words: list[str]) -> int:
    """Print candidates for the last of `words`, one a line, then whether files may follow."""
    if words and words[-1] == '""':
        # As PowerShell passes an empty word.
        words[-1] = ""
    candidates, directive = _candidates(words or [""])
    output.write("".join(f"{candidate}\n" for candidate in candidates) + f"{directive}\n")
    return 0


def _candidates(words: list[str]) -> tuple[list[str], str]:
    *before, current = words
    if "--" in before:
        # The command to run.
        return [], FILES
    plain = _plain_words(before)
    command = next(
        (
            name
            for n in (3, 2, 1)
            if (name := " ".join(plain[:n])) in table.TABLE and len(plain) >= n
        ),
        "",
    )
    options: tuple[usage.Option, ...] = usage.ROOT_OPTIONS
    doc = ""
    if command:
        _, doc, _ = table.load(table.TABLE[command])
        options = usage.command_options(doc)
    if before and before[-1].startswith("-"):
        option = next((o for o in options if before[-1] in (o.long, o.short)), None)
        if option is not None and option.placeholder:
            return _values(option, before)
    if current.startswith("-"):
        return [_described(option.long, doc or table.GLOBAL_FLAGS) for option in options], NO_FILES
    below = [name for name in table.TABLE if name.startswith(f"{command} ")] if command else []
    if not command or below:
        prefix = len(command) + 1 if command else 0
        names = below or [n for n, c in table.TABLE.items() if c.group and " " not in n]
        return [f"{n[prefix:]}\t{table.TABLE[n].summary}" for n in names], NO_FILES
    if command == "completion":
        return list(SHELLS), NO_FILES
    if command == "help":
        return _help_words(plain[1:]), NO_FILES
    meant = _first_argument(doc, command)
    if meant.startswith("<session"):
        return _sessions(before, meant == "<session-or-tag>"), NO_FILES
    if meant == "<node>":
        return _nodes(command, plain), NO_FILES
    if command == "use" or command.startswith("local "):
        # Their first word is a runtime's name, what comes next a path inside.
        is_name = len(plain) == len(command.split()) and meant.startswith(("<name>", "<target>"))
        return _runtimes(command) if is_name else [], NO_FILES
    return [], FILES


def _runtimes(command: str) -> list[str]:
    """Return the names of local runtimes, and of this machine where that is a target."""
    from codewire.commands.places import LOCAL, Runtimes
    from codewire.errors import CodewireError

    try:
        names = Runtimes().names()
    except CodewireError:
        names = []
    return [*([LOCAL] if command == "use" else []), *names]


def _nodes(command: str, plain: list[str]) -> list[str]:
    """Return names of nodes, as far as they are remembered: of all places, or a relay's only."""
    from codewire.commands.places import RelayNodes, node_names

    if len(plain) > len(command.split()):
        return []
    try:
        return RelayNodes().names() if command in OF_RELAY else node_names()
    except CodewireError:
        return []


def _help_words(typed: list[str]) -> list[str]:
    """Return what help can be had about, behind the words that stand there already."""
    from codewire.commands.topics import TOPICS

    start = "".join(f"{word} " for word in typed)
    found = [f"{name}\t{about}" for name, (about, _) in TOPICS.items() if not typed]
    for name, command in table.TABLE.items():
        rest = name.removeprefix(start)
        if name.startswith(start) and " " not in rest:
            found.append(f"{rest}\t{command.summary}")
    return found


def _first_argument(doc: str, command: str) -> str:
    """Return the first argument of a command's usage line: what it says is what is completed."""
    _, _, rest = doc.partition(f"  cw {command} [options]")
    words = rest.partition("\n")[0].split()
    return words[0].strip("[].") if words else ""


def _plain_words(words: list[str]) -> list[str]:
    """Return the words that are no flags and no values of global flags."""
    plain, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word.startswith("-"):
            skip = word in ("-s", "--server", "--token")
        else:
            plain.append(word)
    return plain


def _described(flag: str, doc: str) -> str:
    """Return a flag with its line of help."""
    for line in doc.split("\n"):
        head, _, text = line.strip().partition("  ")
        if head.startswith("-") and flag in head.replace(",", "").split():
            return f"{flag}\t{text.strip()}"
    return flag


def _values(option: usage.Option, before: list[str]) -> tuple[list[str], str]:
    """Return candidates for a flag's value."""
    choices = option.placeholder[1:-1].split("|")
    if len(choices) > 1:
        return choices, NO_FILES
    if option.placeholder.startswith("<tag"):
        return _tags(_list(before)), NO_FILES
    if option.long == "--event":
        from codewire.wire.events import EVENT_TYPES

        return list(EVENT_TYPES), NO_FILES
    if option.long in ("--session", "--from"):
        return _sessions(before, False), NO_FILES
    if option.long == "--on":
        return _runtimes("use"), NO_FILES
    if option.long == "--backend":
        from codewire.runtimes.instances import BACKENDS

        return list(BACKENDS), NO_FILES
    if option.long == "--server":
        from codewire.commands.places import node_names

        return node_names(), NO_FILES
    return [], FILES if "path" in option.placeholder or "file" in option.placeholder else NO_FILES


def _sessions(before: list[str], with_tags: bool) -> list[str]:
    """Return names and ids in the order of ids, then tags if they stand for sessions here."""
    sessions = _list(before)
    found: list[str] = []
    for session in sessions:
        help_text = output.plain(session.prompt)[:60].replace("\n", " ")
        words = [session.name] if session.name else []
        found += [f"{word}\t{help_text}" for word in (*words, str(session.id))]
    return found + (_tags(sessions) if with_tags else [])


def _tags(sessions: list[SessionInfo]) -> list[str]:
    tags = (tag for session in sessions for tag in session.tags)
    return list(dict.fromkeys(tags))


def _list(before: list[str]) -> list[SessionInfo]:
    """Return the sessions of the node a command line is for; none where it does not run."""
    from codewire.commands.context import Context

    server = None
    for at, word in enumerate(before[:-1]):
        if word in ("-s", "--server"):
            server = before[at + 1]
    try:
        client = Context({"--server": server}).client(autostart=False)
        return client.within(SECONDS).list_sessions()
    except CodewireError:
        return []
