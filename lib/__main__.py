"""The command line: `python -m lib`."""

from __future__ import annotations

import argparse
import sys

from .errors import InputError

PRESETS = ("smoke", "quick", "full", "paper")
DATA = ("digits", "fsdd")


def _at_least(smallest: int):
    """An argparse type: a whole number, no smaller than this."""

    def number(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < smallest:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {smallest} on")
        return int(text)

    return number


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> None:
        self.exit(2, f"error: {message}; see {self.prog} -h\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m lib", description="Beyond Rate Coding: what can be done.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)

    notebooks = commands.add_parser("notebooks", help="run the notebooks headless (./run_all.sh does this)")
    notebooks.add_argument("numbers", nargs="*", type=_at_least(0), help="only these notebooks")
    notebooks.add_argument("--preset", choices=PRESETS, default="quick")
    notebooks.add_argument("--data", choices=DATA, default="digits")
    notebooks.add_argument("--data-dir", help="folder or zip with recordings (fsdd)")
    notebooks.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")

    figures = commands.add_parser("figures", help="redraw figures from stored numbers, without training")
    figures.add_argument("--preset", choices=PRESETS)
    figures.add_argument("--data", choices=DATA)

    tune = commands.add_parser("tune", help="choose every arm's settings on the validation voices")
    tune.add_argument("--arms", nargs="+", help="only these arms")
    tune.add_argument("--jobs", type=_at_least(1), help="processes (default: one a core)")

    data = commands.add_parser("data", help="make and convert data")
    kinds = data.add_subparsers(dest="kind", required=True, metavar="KIND", parser_class=_Parser)
    digits = kinds.add_parser("digits", help="generate the event files of the synthetic spoken digits")
    digits.add_argument("--output", help="folder (default: a folder of the cache, $BRC_CACHE or ~/.cache)")
    digits.add_argument("--jobs", type=_at_least(1), help="processes (default: one a core)")
    ship = kinds.add_parser("ship", help="bin generated events into the files beside the code (maintainers)")
    ship.add_argument("--output", help="folder of the generated event files")
    convert = kinds.add_parser("convert", help="send one recording through the cochlea")
    convert.add_argument("recording", metavar="IN.wav")
    convert.add_argument("output", metavar="OUT.h5")
    convert.add_argument("--seed", type=_at_least(0), default=0, help="of the auditory nerve (default 0)")
    return parser


def _run(args: argparse.Namespace) -> None:
    # Imports wait until here: a wrong word is answered at once
    if args.command == "notebooks":
        from . import notebooks
        from .data.speech import check_names
        from .experiments import pick_device

        check_names(args.data, args.data_dir)
        pick_device(args.device)
        notebooks.run(args.numbers, args.preset, args.data, args.data_dir, args.device)
    elif args.command == "figures":
        from .figures import redraw

        for path in redraw(args.data, args.preset):
            print(path)
    elif args.command == "tune":
        from .tune import main

        main(args.arms, args.jobs)
    elif args.kind == "digits":
        from .data.digits import generate_command

        generate_command(args.output, args.jobs)
    elif args.kind == "ship":
        from .data import shipped
        from .data.digits import generate

        shipped.make(generate(args.output))
    else:
        from .data.convert import convert

        events = convert(args.recording, args.output, args.seed)
        print(f"{args.output}: {len(events.times)} events")


def main(words: list[str] | None = None) -> int:
    """Run a command; 0 if it worked, 2 on bad input, 1 if a run failed, 130 if interrupted.

    Args:
        words: of the command line (default: this process's); without any, what can be done is listed.
    """
    parser = _parser()
    args = parser.parse_args(words)
    if args.command is None:
        parser.print_help()
        return 0
    try:
        _run(args)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept, the same command goes on from there", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
