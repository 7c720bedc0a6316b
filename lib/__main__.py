"""The command line: `python -m lib`."""

from __future__ import annotations

import argparse
import sys

from .errors import InputError

PRESETS = ("smoke", "quick", "full", "paper")
DATA = ("digits", "fsdd")


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> None:
        self.exit(2, f"error: {message}; see {self.prog} -h\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m lib", description="Beyond Rate Coding: what can be done.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)

    notebooks = commands.add_parser("notebooks", help="run the notebooks headless (./run_all.sh does this)")
    notebooks.add_argument("numbers", nargs="*", type=int, help="only these notebooks")
    notebooks.add_argument("--preset", choices=PRESETS, default="quick")
    notebooks.add_argument("--data", choices=DATA, default="digits")
    notebooks.add_argument("--data-dir", help="folder or zip with recordings (fsdd)")
    notebooks.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")

    figures = commands.add_parser("figures", help="redraw figures from their stored numbers, without training")
    figures.add_argument("--preset", choices=PRESETS)
    figures.add_argument("--data", choices=DATA)

    tune = commands.add_parser("tune", help="choose every arm's settings on the validation voices")
    tune.add_argument("--arms", nargs="+", help="only these arms")
    tune.add_argument("--jobs", type=int, help="processes (default: one a core)")

    data = commands.add_parser("data", help="make and convert data")
    kinds = data.add_subparsers(dest="kind", required=True, metavar="KIND", parser_class=_Parser)
    digits = kinds.add_parser("digits", help="generate the event files of the synthetic spoken digits")
    digits.add_argument("--output", help="folder (default: a folder of the cache, $BRC_CACHE or ~/.cache)")
    digits.add_argument("--jobs", type=int, help="processes (default: one a core)")
    ship = kinds.add_parser("ship", help="bin generated events into the files that come with the code (maintainers)")
    ship.add_argument("--output", help="folder of the generated event files")
    convert = kinds.add_parser("convert", help="send one recording through the cochlea")
    convert.add_argument("recording", metavar="IN.wav")
    convert.add_argument("output", metavar="OUT.h5")
    convert.add_argument("--seed", type=int, default=0, help="of the auditory nerve (default 0)")
    return parser


def _run(args: argparse.Namespace) -> None:
    # Imports wait until here: a wrong word is answered at once
    if args.command == "notebooks":
        from . import notebooks
        from .data.speech import check_names

        check_names(args.data, args.data_dir)
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


def main() -> int:
    """Run a command; 0 if it worked, 2 on bad input, 1 if a run failed, 130 if interrupted."""
    try:
        _run(_parser().parse_args())
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
