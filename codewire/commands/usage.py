"""The command line, read strictly: a command's help text is the table of its flags.

docopt-ng guesses at misspelt and shortened flags, and a guess must not decide what happens to a
session. So every flag is looked up here first, with the error texts of spec/cli.md 1; docopt then
sees exact long forms only. How a value is read is said by its placeholder in the help text:

    <n>              a whole number          <a|b|c>         one of these words
    <seconds>        a number, such as 1.5
    <tag,...>        repeatable, and a comma separates       <KEY=VALUE>...  repeatable, kept as is
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from codewire.errors import UsageError

if TYPE_CHECKING:
    from typing import Any

# Every number a flag takes travels in a u32 or wider field of the wire format.
MAX_NUMBER = (1 << 32) - 1
WHOLE = f"must be a whole number from 0 to {MAX_NUMBER}"
TRUE_WORDS = frozenset(("1", "t", "T", "true", "TRUE", "True"))
FALSE_WORDS = frozenset(("0", "f", "F", "false", "FALSE", "False"))


# Plain classes: a NamedTuple takes longer to define than a whole command line to read.


class Option:
    """One flag: its long name, its short one or "", its placeholder or "" for a switch."""

    def __init__(self, long: str, short: str, placeholder: str) -> None:
        self.long = long
        self.short = short
        self.placeholder = placeholder

    @property
    def label(self) -> str:
        """Name the flag as error messages do: `-t, --tail`."""
        return f"{self.short}, {self.long}" if self.short else self.long

    @property
    def is_list(self) -> bool:
        """Say whether commas separate values, besides repetition."""
        return self.placeholder.endswith(",...>")

    @property
    def is_repeatable(self) -> bool:
        """Say whether several values are collected; otherwise the last one wins."""
        return self.is_list or self.placeholder.endswith(">...")


class Line:
    """A scanned command line: values by long flag name, and the words between the flags."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.words: list[str] = []


HELP = Option("--help", "-h", "")
GLOBAL_OPTIONS = (
    Option("--server", "-s", "<server>"),
    Option("--network", "", "<network>"),
    Option("--token", "", "<token>"),
    Option("--ca", "", "<file>"),
    Option("--insecure", "", ""),
    HELP,
)
GLOBAL_NAMES = frozenset(option.long for option in GLOBAL_OPTIONS)
ROOT_OPTIONS = (
    *GLOBAL_OPTIONS,
    Option("--version", "-v", ""),
    Option("--version", "-V", ""),
)


def command_options(doc: str) -> tuple[Option, ...]:
    """Return the flags a help text describes, and the global ones it does not redefine."""
    own = [_option(line) for line in map(str.strip, doc.split("\n")) if line.startswith("-")]
    taken = {option.long for option in own} | {option.short for option in own if option.short}
    return (*own, *(o for o in GLOBAL_OPTIONS if o.long not in taken and o.short not in taken))


def scan(argv: list[str], options: tuple[Option, ...], *, stop_at_word: bool = False) -> Line:
    """Separate flags from words; flags may stand anywhere before `--`.

    With stop_at_word, everything from the first word on is words. Raises UsageError.
    """
    return _Scanner(argv, options).run(stop_at_word)


def match(doc: str, line: Line, trailer: list[str] | None = None) -> dict[str, Any]:
    """Check the words of a scanned line against the usage and return docopt's dictionary.

    trailer is what followed the `--` of a command whose usage has one. Values of flags are
    already of their kind: int for numbers, list for repeatable flags, None or [] when absent.
    Raises UsageError.
    """
    from docopt import DocoptExit, docopt

    command, limits = _read_usage(doc)
    if trailer is None:
        _check_count(len(line.words), limits, command, line.words)
    exact = [*_exact_flags(line.values), *command.split()[1:], *map(_mask, line.words)]
    if trailer is not None:
        # One stands for all: docopt takes quadratic time over a long list.
        exact += ["--", "command"]
    try:
        found = dict(docopt(doc, argv=exact, default_help=False))
    except DocoptExit as error:
        raise UsageError(f"arguments do not fit '{command}'", usage_text(doc)) from error
    args = {key: _unmask(value) for key, value in found.items()}
    if trailer is not None:
        args["<command>"] = trailer
    for option in command_options(doc):
        absent = [] if option.is_repeatable else args.get(option.long)
        args[option.long] = line.values.get(option.long, absent)
    return args


def usage_text(doc: str) -> str:
    """Return only the usage lines of a help text."""
    _, title, rest = doc.partition("Usage:\n")
    return title + rest.partition("\n\n")[0].rstrip()


class _Scanner:
    def __init__(self, argv: list[str], options: tuple[Option, ...]) -> None:
        self.rest = list(argv)
        self.by_name = {o.long: o for o in options} | {o.short: o for o in options if o.short}
        self.line = Line()

    def run(self, stop_at_word: bool) -> Line:
        while self.rest:
            arg = self.rest.pop(0)
            if arg == "--":
                break
            if arg.startswith("--"):
                self._long(arg)
            elif arg.startswith("-") and arg != "-":
                self._shorts(arg)
            else:
                self.line.words.append(arg)
                if stop_at_word:
                    break
        self.line.words.extend(self.rest)
        return self.line

    def _long(self, arg: str) -> None:
        name, equals, value = arg.partition("=")
        if len(name) == 2 or name.startswith("---"):
            raise UsageError(f"bad flag syntax: {arg}")
        option = self.by_name.get(name)
        if option is None:
            raise UsageError(f"unknown flag: {name}")
        if equals:
            self._store(option, value)
        elif not option.placeholder:
            self.line.values[option.long] = True
        elif self.rest:
            self._store(option, self.rest.pop(0))
        else:
            raise UsageError(f"flag needs an argument: {name}")

    def _shorts(self, arg: str) -> None:
        letters = arg[1:]
        while letters:
            letters = self._short(letters)

    def _short(self, letters: str) -> str:
        """Take the first of the letters after a dash, with its value; return what is left."""
        option = self.by_name.get("-" + letters[0])
        rest = letters[1:]
        if option is None:
            raise UsageError(f"unknown shorthand flag: '{letters[0]}' in -{letters}")
        if rest.startswith("="):
            self._store(option, rest[1:])
        elif not option.placeholder:
            self.line.values[option.long] = True
            return rest
        elif rest:
            self._store(option, rest)
        elif self.rest:
            self._store(option, self.rest.pop(0))
        else:
            raise UsageError(f"flag needs an argument: '{letters[0]}' in -{letters}")
        return ""

    def _store(self, option: Option, text: str) -> None:
        values = self.line.values
        if option.is_list:
            values.setdefault(option.long, []).extend(part for part in text.split(",") if part)
        elif option.is_repeatable:
            values.setdefault(option.long, []).append(text)
        else:
            values[option.long] = _read_value(option, text)


def _read_value(option: Option, text: str) -> bool | float | str:
    if not option.placeholder:
        if text in TRUE_WORDS or text in FALSE_WORDS:
            return text in TRUE_WORDS
        raise _invalid(option, text, "must be true or false")
    if option.placeholder == "<n>":
        return _read_number(option, text)
    if option.placeholder == "<seconds>":
        return _read_seconds(option, text)
    choices = option.placeholder[1:-1].split("|")
    if len(choices) > 1 and text not in choices:
        raise _invalid(option, text, "must be one of " + ", ".join(choices))
    return text


def _read_number(option: Option, text: str) -> int:
    digits = text[1:] if text[:1] in ("+", "-") else text
    if not (digits.isascii() and digits.isdigit()):
        raise _invalid(option, text, WHOLE)
    if text.startswith("-") or len(digits) > 20 or int(digits) > MAX_NUMBER:
        raise _invalid(option, text, WHOLE)
    return int(digits)


def _read_seconds(option: Option, text: str) -> float:
    """Return a number of seconds: whole where it is, so that it is shown as it was typed."""
    whole, point, fraction = text.partition(".")
    if not point or not (fraction.isascii() and fraction.isdigit()):
        return _read_number(option, text)
    if whole.startswith("-"):
        raise _invalid(option, text, f"must be a number from 0 to {MAX_NUMBER}")
    number = _read_number(option, whole or "0") + float(f"0.{fraction[:9]}")
    return int(number) if number.is_integer() else number


def _invalid(option: Option, text: str, cause: str) -> UsageError:
    from codewire.wire.texts import go_quote

    return UsageError(f'invalid argument {go_quote(text)} for "{option.label}" flag: {cause}')


def _option(line: str) -> Option:
    """Read the head of an option line: `-t, --tail <n>  Only the last n lines`."""
    words = line.partition("  ")[0].replace(", ", " ").split()
    short = words.pop(0) if not words[0].startswith("--") else ""
    return Option(words[0], short, words[1] if len(words) > 1 else "")


def _read_usage(doc: str) -> tuple[str, tuple[int, int | None]]:
    """Return the command as typed (`cw node stop`) and how few and how many words it takes."""
    lines = [line.split() for line in usage_text(doc).split("\n")[1:]]
    command = " ".join(word for word in lines[0] if word[0] not in "[<(-" and "]" not in word)
    counts = [[word for word in line if "<" in word] for line in lines]
    fewest = min(sum(word.startswith("<") for word in words) for words in counts)
    if any(word.endswith("...") or word.endswith("...]") for words in counts for word in words):
        return command, (fewest, None)
    return command, (fewest, max(map(len, counts)))


def _check_count(
    count: int, limits: tuple[int, int | None], command: str, words: list[str]
) -> None:
    fewest, most = limits
    if count >= fewest and (most is None or count <= most):
        return
    if most is None:
        raise UsageError(f"requires at least {fewest} arg(s), only received {count}")
    if most == 0:
        from codewire.wire.texts import go_quote

        raise UsageError(f"unknown command {go_quote(words[0])} for {go_quote(command)}")
    if fewest == most:
        raise UsageError(f"accepts {most} arg(s), received {count}")
    if fewest == 0:
        raise UsageError(f"accepts at most {most} arg(s), received {count}")
    raise UsageError(f"accepts between {fewest} and {most} arg(s), received {count}")


def _exact_flags(values: dict[str, Any]) -> list[str]:
    """Return the flags in the one form docopt cannot misread; several values as one."""
    exact = []
    for long, value in values.items():
        # A command's help text does not list the global ones.
        if long in GLOBAL_NAMES or value is False or value == []:
            continue
        if value is True:
            exact.append(long)
        else:
            exact.append(f"{long}={value[-1] if isinstance(value, list) else value}")
    return exact


# A word such as -x (after `--`) is an argument, but docopt would take it for a flag. No argument
# of a process can hold a NUL, so one in front marks it.
def _mask(word: str) -> str:
    return "\0" + word if word.startswith("-") else word


def _unmask(value: Any) -> Any:
    if isinstance(value, list):
        return [_unmask(item) for item in value]
    return value[1:] if isinstance(value, str) and value.startswith("\0") else value
