"""The command ``course``.

Heavy things are imported by the subcommand that needs them: ``course --help`` answers at once.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from course import __version__
from course.authoring import AuthoringError

OK, FAILED, USAGE = 0, 1, 2


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message} ({self.prog} --help)", file=sys.stderr)
        raise SystemExit(USAGE)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; 0 is success, 1 a failure, 2 a wrong use."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        code = _dispatch(words)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return FAILED
    except BrokenPipeError:
        # The reader of our output, such as `head`, has had enough; keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except (AuthoringError, OSError) as error:
        for line in str(error).splitlines():
            print(f"course {words[0]}: {line}", file=sys.stderr)
        return FAILED
    return code


def _dispatch(words: list[str]) -> int:
    parser, commands = _parsers()
    if not words:
        parser.print_help()
        return OK
    try:
        _demand_known(parser, commands, words[0])
        arguments, unknown = parser.parse_known_args(words)
        if unknown:
            _refuse(commands[arguments.command], unknown[0])
    except SystemExit as end:  # argparse leaves this way after --help, --version and a wrong use
        return end.code if isinstance(end.code, int) else OK
    return int(arguments.run(arguments))


def _parsers() -> tuple[_Parser, dict[str, _Parser]]:
    parser = _Parser(
        prog="course", description="The parameter update: a course in Jupyter.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"course {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)
    commands = {}
    for name, text, options, run in (
        ("lab", "open the course in JupyterLab, in a folder of your own", _lab_options, _lab),
        ("progress", "show which exercises are solved", None, _progress),
        ("rules", "list the update rules, each measured beside its reference", None, _rules),
        (
            "conventions",
            "show where libraries and papers differ, with figures",
            _conventions_options,
            _conventions,
        ),
        ("doctor", "run a training script, and say why its model does not learn", _doctor_options, _doctor),
        ("build", "make the notebooks from solutions/NN_topic.py", _build_options, _build),
    ):
        command = subparsers.add_parser(name, help=text, description=f"{text}.", allow_abbrev=False)
        if options is not None:
            options(command)
        command.set_defaults(run=run)
        commands[name] = command
    return parser, commands


def _demand_known(parser: _Parser, commands: dict[str, _Parser], word: str) -> None:
    if not word.startswith("-"):
        if word not in commands:
            parser.error(f"there is no command {word!r}{_nearest(word, commands)}")
    elif word not in ("-h", "--help", "--version"):
        parser.error(f"there is no option {word!r}{_nearest(word, ['--help', '--version'])}")


def _refuse(command: _Parser, word: str) -> NoReturn:
    known = [option for action in command._actions for option in action.option_strings]
    if word.startswith("-"):
        command.error(f"there is no option {word.split('=')[0]!r}{_nearest(word.split('=')[0], known)}")
    command.error(f"does not know what to do with {word!r}")


def _nearest(word: str, known: Sequence[str] | dict[str, _Parser]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; there are {', '.join(known)}"


def _lab_options(parser: _Parser) -> None:
    parser.add_argument("--no-browser", action="store_true", help="print the address, open no browser")
    parser.add_argument("--port", type=_port, metavar="N", help="port to listen on (a free one from 8888 on)")
    parser.add_argument("--dir", type=Path, metavar="DIR", help="your folder (work/ in the checkout)")


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: give a number from 1 to 65535")
    return int(text)


def _build_options(parser: _Parser) -> None:
    parser.add_argument("lessons", nargs="*", metavar="NN", help="lessons by number (all)")
    parser.add_argument("--check", action="store_true", help="change nothing; fail where anything is stale")
    parser.add_argument("--force", action="store_true", help="execute also what is fresh")
    parser.add_argument(
        "--root", type=Path, metavar="DIR", help="the checkout (the one this is installed from)"
    )


def _doctor_options(parser: _Parser) -> None:
    parser.add_argument("--steps", type=_steps, metavar="N", help="stop after N steps of the optimizers")
    parser.add_argument(
        "--seconds", type=_seconds, default=60.0, metavar="S", help="stop after S seconds (60); 0: never"
    )
    parser.add_argument("script", type=Path, help="your training script")
    parser.add_argument("words", nargs=argparse.REMAINDER, metavar="...", help="its own arguments")


def _steps(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of steps: give a whole number from 1 on")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no time: give seconds, or 0 for no limit")
    return seconds


def _conventions_options(parser: _Parser) -> None:
    parser.add_argument("--write", action="store_true", help="write course/rules/CONVENTIONS.md instead")


def _lab(arguments: argparse.Namespace) -> int:
    from course.authoring import lab
    from course.authoring.tree import find_root

    root = find_root()
    work = arguments.dir if arguments.dir is not None else root / "work"
    return lab.run(work.absolute(), root / "notebooks", browser=not arguments.no_browser, port=arguments.port)


def _progress(arguments: argparse.Namespace) -> int:
    from course import grading
    from course.grading.verdict import CourseError

    try:
        print(grading.progress_text())
    except CourseError as error:
        raise AuthoringError(str(error)) from error
    return OK


def _rules(arguments: argparse.Namespace) -> int:
    from course import catalogue

    print(catalogue.aligned(catalogue.HEAD, catalogue.rows()))
    print(
        "\nbytes: of the state, a parameter in float32. float64, float32: the worst deviation from the"
        f" references over\n{catalogue.STEPS} steps, measured just now in the metric of course.oracle."
    )
    return OK


def _conventions(arguments: argparse.Namespace) -> int:
    from course import catalogue, conventions, rules
    from course.references import INSTALL, Missing

    missing = ", ".join(conventions.missing())
    if arguments.write:
        path = Path(rules.__file__).with_name("CONVENTIONS.md")
        try:
            text = conventions.page(before=path.read_text(encoding="utf-8"))
        except Missing as error:
            raise AuthoringError(f"{error}; nothing is written. Install {missing}: {INSTALL}") from error
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}" + (f"; kept the figures that need {missing}" if missing else ""))
        return OK
    print(catalogue.aligned(("rule", "who", "does what", "apart", "the same here"), conventions.table()))
    if missing:
        print(f"\nno figure where {missing} would be needed: {INSTALL}")
    return OK


def _doctor(arguments: argparse.Namespace) -> int:
    from course.clinic import doctor

    def show(visit: doctor.Visit) -> None:
        for line in filter(None, (visit.stopped, visit.trouble)):
            print(f"course doctor: {line}", file=sys.stderr)
        if visit.exam.recorder.optimizers or visit.findings:
            print(visit.exam.text)

    try:
        visit = doctor.examine(
            arguments.script,
            arguments.words,
            steps=arguments.steps,
            seconds=arguments.seconds or None,
            at_end=show,
        )
    except doctor.UsageError as error:
        print(f"course doctor: {error}", file=sys.stderr)
        return USAGE
    show(visit)
    return visit.code


def _build(arguments: argparse.Namespace) -> int:
    from course.authoring import build, stale
    from course.authoring.tree import find_root

    root = (arguments.root or find_root()).absolute()
    if not arguments.check:
        if not build.build(root, arguments.lessons, force=arguments.force):
            print("everything is up to date")
        return OK
    problems = stale.check(root, arguments.lessons)
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print("every notebook is what its source gives")
    return FAILED if problems else OK


if __name__ == "__main__":
    sys.exit(main())
