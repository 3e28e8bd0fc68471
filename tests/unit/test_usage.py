"""The strict flag scan and docopt behind it: every text of spec/cli.md 1, every command's usage."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codewire import __version__, commands
from codewire.commands import table, unknown, usage
from codewire.commands.manpage import page
from codewire.commands.topics import TOPICS
from codewire.commands.unknown import words_for
from codewire.errors import UsageError
from tests import manpage

DOC = """\
Print things.

Usage:
  cw thing [options] <session> [<input>]

Options:
  -f, --follow                 Follow
  -t, --tail <n>               Lines [default: 7]
      --timeout <seconds>      Seconds
      --raw                    Raw
  -l, --label <tag,...>        A list
  -e, --env <KEY=VALUE>...     An array
      --status <all|running>   A choice [default: all]
  -o, --out <path>             A text

Examples:
  cw thing 1 --raw
"""


def parse(*argv: str, doc: str = DOC) -> dict[str, Any]:
    return usage.match(doc, usage.scan(list(argv), usage.command_options(doc)))


def failure(*argv: str, doc: str = DOC) -> str:
    with pytest.raises(UsageError) as caught:
        parse(*argv, doc=doc)
    return str(caught.value)


# Flags


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--x", "1"], "unknown flag: --x"),
        (["--x=1", "1"], "unknown flag: --x"),
        (["1", "--foll"], "unknown flag: --foll"),  # docopt would take it for --follow
        (["1", "--fallow"], "unknown flag: --fallow"),  # and correct this one
        (["1", "-F"], "unknown shorthand flag: 'F' in -F"),
        (["-c", "1"], "unknown shorthand flag: 'c' in -c"),
        (["-fcx", "1"], "unknown shorthand flag: 'c' in -cx"),
        (["-1"], "unknown shorthand flag: '1' in -1"),
        (["1", "--tail"], "flag needs an argument: --tail"),
        (["1", "-t"], "flag needs an argument: 't' in -t"),
        (["1", "-ft"], "flag needs an argument: 't' in -t"),
        (["1", "---x"], "bad flag syntax: ---x"),
        (["1", "--=x"], "bad flag syntax: --=x"),
        (
            ["1", "-t", "x"],
            'invalid argument "x" for "-t, --tail" flag: '
            "must be a whole number from 0 to 4294967295",
        ),
        (
            ["1", "--timeout="],
            'invalid argument "" for "--timeout" flag: must be a whole number from 0 to 4294967295',
        ),
        (
            ["1", "--tail", "99999999999999999999999"],
            'invalid argument "99999999999999999999999" for "-t, --tail" flag: '
            "must be a whole number from 0 to 4294967295",
        ),
        (
            ["1", "--tail", "4294967296"],
            'invalid argument "4294967296" for "-t, --tail" flag: '
            "must be a whole number from 0 to 4294967295",
        ),
        (
            ["1", "--tail=-1"],
            'invalid argument "-1" for "-t, --tail" flag: '
            "must be a whole number from 0 to 4294967295",
        ),
        (
            ["1", "--follow=maybe"],
            'invalid argument "maybe" for "-f, --follow" flag: must be true or false',
        ),
        (
            ["1", "--status", "runing"],
            'invalid argument "runing" for "--status" flag: must be one of all, running',
        ),
    ],
)
def test_a_wrong_flag_is_named(argv: list[str], message: str) -> None:
    assert failure(*argv) == message


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("0", 0), ("0.5", 0.5), (".25", 0.25), ("2.0", 2), ("1.123456789123", 1.123456789)],
)
def test_seconds_may_have_a_fraction(text: str, value: float) -> None:
    assert parse("1", "--timeout", text)["--timeout"] == value


@pytest.mark.parametrize(
    "text", ["1.", "1e3", "inf", "nan", "1.5.2", "0x1", "-0.5", "9999999999.5"]
)
def test_other_words_are_no_seconds(text: str) -> None:
    assert 'for "--timeout" flag' in failure("1", f"--timeout={text}")


@pytest.mark.parametrize(
    ("argv", "flag", "value"),
    [
        (["1"], "--tail", "7"),
        (["1"], "--follow", False),
        (["1"], "--label", []),
        (["1"], "--env", []),
        (["1"], "--out", None),
        (["1"], "--status", "all"),
        (["-f", "1"], "--follow", True),
        (["1", "--follow"], "--follow", True),
        (["1", "--follow=false"], "--follow", False),
        (["1", "--follow=T"], "--follow", True),
        (["1", "-ft5"], "--tail", 5),
        (["1", "-t=5"], "--tail", 5),
        (["1", "-t", "5"], "--tail", 5),
        (["1", "--tail=+5"], "--tail", 5),
        (["1", "--tail", "1", "--tail", "2"], "--tail", 2),
        (["1", "--tail", "0"], "--tail", 0),
        (["1", "-l", "a,b", "--label=c", "-l", ",,"], "--label", ["a", "b", "c"]),
        (["1", "-e", "A=1,2", "--env=B=x=y"], "--env", ["A=1,2", "B=x=y"]),
        (["1", "--out", "--raw"], "--out", "--raw"),  # what follows is the value, whatever it is
        (["1", "--out="], "--out", ""),
        (["1", "--out", "a=b"], "--out", "a=b"),
    ],
)
def test_values_of_flags(argv: list[str], flag: str, value: object) -> None:
    default_number = flag == "--tail" and value == "7"
    assert parse(*argv)[flag] == (value if not default_number else "7")


def test_global_flags_stand_anywhere() -> None:
    args = parse("-s", "gpu", "1", "--token=secret")
    assert (args["--server"], args["--token"]) == ("gpu", "secret")


def test_a_global_switch_stands_behind_the_command() -> None:
    assert parse("--insecure", "1")["--insecure"] is True
    assert not parse("--insecure=false", "1")["--insecure"]


def test_a_command_may_have_a_global_flag_of_its_own() -> None:
    doc = "Add.\n\nUsage:\n  cw add [options] <n>\n\nOptions:\n      --token <token>  Its token\n"
    assert parse("x", "--token", "t", doc=doc)["--token"] == "t"
    assert [o.long for o in usage.command_options(doc)].count("--token") == 1


def test_scanning_may_stop_at_the_first_word() -> None:
    line = usage.scan(["-s", "x", "list", "-f"], usage.ROOT_OPTIONS, stop_at_word=True)
    assert (line.values, line.words) == ({"--server": "x"}, ["list", "-f"])


# Words


@pytest.mark.parametrize(
    ("limits", "words", "message"),
    [
        ("<a>", [], "accepts 1 arg(s), received 0"),
        ("<a>", ["1", "2"], "accepts 1 arg(s), received 2"),
        ("<a> [<b>]", [], "accepts between 1 and 2 arg(s), received 0"),
        ("<a> [<b>]", ["1", "2", "3"], "accepts between 1 and 2 arg(s), received 3"),
        ("[<a>]", ["1", "2"], "accepts at most 1 arg(s), received 2"),
        ("<a>...", [], "requires at least 1 arg(s), only received 0"),
        ("", ["y"], 'unknown command "y" for "cw x"'),
    ],
)
def test_a_wrong_number_of_words(limits: str, words: list[str], message: str) -> None:
    doc = f"X.\n\nUsage:\n  cw x [options] {limits}\n"
    assert failure(*words, doc=doc) == message


def test_words_that_look_like_flags_follow_two_dashes() -> None:
    args = parse("--raw", "1", "--", "--follow")
    assert (args["<session>"], args["<input>"], args["--follow"]) == ("1", "--follow", False)
    assert parse("1", "-")["<input>"] == "-"
    assert parse("1", "")["<input>"] == ""


def test_a_trailer_is_kept_as_it_is() -> None:
    _, doc, _ = table.load(table.TABLE["launch"])
    trailer = ["bash", "-c", "--", "-x", ""]
    for words in ([], ["name"], ["name", "tag"]):
        line = usage.scan([*words, "--dir", "/"], usage.command_options(doc))
        args = usage.match(doc, line, trailer)
        assert args["<command>"] == trailer
        assert [args["<name>"], args["<tag>"]] == (words + [None, None])[:2]


def test_a_long_command_takes_no_longer_to_read() -> None:
    _, doc, _ = table.load(table.TABLE["launch"])
    trailer = ["x"] * 100_000
    line = usage.scan([], usage.command_options(doc))
    assert usage.match(doc, line, trailer)["<command>"] is trailer


# Anything at all


ARGUMENTS = st.lists(
    st.one_of(
        st.sampled_from(["--", "-", "-t", "-t5", "--tail", "--follow", "-f", "1", "cw", "thing"]),
        st.text(st.characters(blacklist_characters="\0", blacklist_categories=()), max_size=6),
        st.text("-=ft1", max_size=5),
    ),
    max_size=6,
)


@given(ARGUMENTS)
def test_any_command_line_is_understood_or_refused(argv: list[str]) -> None:
    line = None
    try:
        line = usage.scan(argv, usage.command_options(DOC))
        args = usage.match(DOC, line)
    except UsageError:
        # Refused for its flags, or for the number of words: never because docopt differs.
        assert line is None or not 1 <= len(line.words) <= 2
    else:
        assert [args["<session>"], args["<input>"]] == (line.words + [None])[:2]


# The commands there are


@pytest.mark.parametrize("name", table.TABLE)
def test_every_help_text_is_well_formed(name: str) -> None:
    _, doc, _ = table.load(table.TABLE[name])
    assert usage.usage_text(doc).startswith("Usage:\n  cw ")
    for option in usage.command_options(doc):
        assert option.long.startswith("--") and option.long != "--", option.label
        assert option.short == "" or len(option.short) == 2, option.label
        assert option.placeholder == "" or option.placeholder.startswith("<"), option.label
    assert max(map(len, table.command_help(name).splitlines())) <= 100
    letters = [option.short for option in usage.command_options(doc) if option.short]
    assert len(letters) == len(set(letters))
    assert "Examples:\n  cw " in doc or "Examples:\n  " in doc


@pytest.mark.parametrize("name", table.TABLE)
def test_every_usage_is_read_by_docopt(name: str) -> None:
    _, doc, _ = table.load(table.TABLE[name])
    trailer = ["true"] if " -- <command>" in doc else None
    needed = [word for word in usage.usage_text(doc).split("\n")[1].split() if word[0] == "<"]
    words = ["word" for word in needed if trailer is None or not word.startswith("<command>")]
    args = usage.match(doc, usage.scan(words, usage.command_options(doc)), trailer)
    assert {option.long for option in usage.command_options(doc)} <= set(args)


def test_help_lists_every_command_that_is_not_hidden() -> None:
    text = table.root_help()
    for name, command in table.TABLE.items():
        assert (f"\n  {name}  " in text) == bool(command.group)
    groups = {command.group for command in table.TABLE.values()}
    assert all((f"\n{group}:\n" in text) == (group in groups) for group in table.GROUPS)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("lst", "list"),
        ("LIST", "list"),
        ("lo", "logs"),
        ("stat", "status"),
        ("kil 3", "kill"),
        ("stopp", "stop"),
        ("ps", "cw list"),
        ("ls", "cw list"),
        ("tail 3", "cw logs <session> --follow"),
        ("rm 3", "cw kill <session>"),
        ("new-session", "cw launch -- <command>"),
    ],
)
def test_what_was_meant_is_suggested(line: str, expected: str) -> None:
    assert f"\t{expected}\n" in words_for(line.split())


@pytest.mark.parametrize("word", ["setup", "step", "still", "shop", "skill", "k", "st"])
def test_no_guess_ends_anything(word: str) -> None:
    text = words_for([word])
    assert not {"\tstop\n", "\tkill\n"} & set(text.splitlines(keepends=True))


@pytest.mark.parametrize("line", ["setup", "env list", "shell gpu", "config-ssh", "billing"])
def test_what_is_not_here_yet_is_said_and_nothing_is_guessed(line: str) -> None:
    text = words_for(line.split())
    assert "is not in this version of cw" in text and "Did you mean" not in text


def test_a_group_does_not_swallow_what_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unknown, "ELSEWHERE", frozenset(("node fly", "node qr")))
    with pytest.raises(UsageError, match="'cw node fly' is not in this version"):
        commands._command_name(["node", "fly"])
    assert commands._command_name(["node", "qr"]) == "node qr"
    assert commands._command_name(["node", "status"]) == "node status"


def test_every_suggestion_is_a_command() -> None:
    for meant in unknown.MEANT.values():
        if meant.startswith("cw "):
            words = meant.replace(",", "").split()
            assert " ".join(words[1:3]) in table.TABLE or words[1] in table.TABLE
    assert not set(unknown.MEANT) & (set(table.TABLE) | unknown.ELSEWHERE)


def test_nothing_is_suggested_for_something_else() -> None:
    assert "Did you mean" not in words_for(["frobnicate"])


def test_topics_are_listed_and_fit_a_terminal() -> None:
    for name, (about, text) in TOPICS.items():
        assert f"  {name}" in table.root_help() and about in table.root_help()
        assert max(map(len, text.splitlines())) <= 101


def test_the_document_shows_the_exit_codes_as_help_does() -> None:
    document = manpage.PATH.with_name("scripts.md").read_text(encoding="utf-8")
    assert f"```\n{TOPICS['exit-codes'][1]}```\n" in document


@pytest.mark.parametrize("name", ["completion", "version", "stop", "server list"])
def test_flags_that_do_nothing_are_not_shown(name: str) -> None:
    assert "--insecure   " not in table.command_help(name).partition("Global options:")[2]


def test_the_manual_page_is_what_the_usage_texts_say() -> None:
    """Written anew by `python -m tests.manpage`."""
    assert manpage.PATH.read_text(encoding="utf-8") == page(__version__)


def test_the_manual_page_is_roff_and_says_what_help_says() -> None:
    lines = page("1").splitlines()
    macros = {line.split()[0] for line in lines if line.startswith(".")}
    assert macros == {".TH", ".SH", ".SS", ".B", ".I", ".nf", ".fi"}
    assert "  \\-f, \\-\\-follow    Go on with new output until the session ends" in lines
