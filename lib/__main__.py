"""The command line: `python -m lib`."""

from __future__ import annotations

import argparse
import os
import sys

from .errors import InputError

PRESETS = ("smoke", "quick", "full", "paper")
DATA = ("digits", "fsdd", "shd", "ssc")
VARIANTS = ("whole", "part", "norm", "norm_aligned")
EXPERIMENTS = ("timing_alone", "relocation", "robustness", "controls", "isi", "polychrony", "coincidence")


def _at_least(smallest: int):
    """An argparse type: a whole number, no smaller than this."""

    def number(text: str) -> int:
        if not text.isascii() or not text.isdigit() or int(text) < smallest:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {smallest} on")
        return int(text)

    return number


def _width(text: str) -> float:
    """An argparse type: a width of bins, ms. The paper's, 1,400 / 99, may be given as 14.14."""
    try:
        width = float(text)
    except ValueError:
        width = 0.0
    if not 0 < width < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a width; give ms above 0")
    return width


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> None:
        self.exit(2, f"error: {message}; see {self.prog} -h\n")


def _add_machine(command: argparse.ArgumentParser) -> None:
    """How large, and where it is computed."""
    command.add_argument("--preset", choices=PRESETS, default="quick", help="how large (default quick)")
    command.add_argument("--data-dir", help="folder or zip with recordings (fsdd), folder of event files (shd, ssc)")
    command.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="default auto")
    command.add_argument("--scheduler", help="compute on a dask cluster: tcp://host:8786 (its workers see this folder)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m lib", description="Beyond Rate Coding: what can be done.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=_Parser)

    notebooks = commands.add_parser("notebooks", help="run the notebooks headless (./run_all.sh does this)")
    notebooks.add_argument("numbers", nargs="*", type=_at_least(0), help="only these notebooks")
    notebooks.add_argument("--data", choices=DATA, default="digits", help="data set (default digits)")
    _add_machine(notebooks)

    run = commands.add_parser("run", help="compute the runs of an experiment, without a notebook")
    run.add_argument("experiment", choices=EXPERIMENTS)
    run.add_argument("--data", help="data set (default: the experiment's first)")
    run.add_argument("--jobs", type=_at_least(1), help="processes (default: one a core)")
    _add_machine(run)

    tune = commands.add_parser("tune", help="choose every arm's settings on the validation voices")
    tune.add_argument("--arms", nargs="+", help="only these arms")
    tune.add_argument("--jobs", type=_at_least(1), help="processes (default: one a core)")

    publish = commands.add_parser("publish", help="put the results of finished experiments into results/published")
    publish.add_argument("--preset", choices=PRESETS, default="full", help="default full")
    publish.add_argument("--data-dir", help="folder of the event files that shd or ssc was computed from")

    figures = commands.add_parser("figures", help="redraw figures from published results, without training")
    figures.add_argument("--preset", choices=PRESETS, help="only this preset")
    figures.add_argument("--data", help="only this data set")

    claims = commands.add_parser("claims", help="judge the paper's claims by the published results")
    claims.add_argument("--write-readme", action="store_true", help="put the table into README.md")

    site = commands.add_parser("site", help="write the notebooks, figures and claims as web pages, from stored outputs")
    site.add_argument("--output", help="folder (default build/site)")

    explorer = commands.add_parser("explorer", help="write the explorer of two trained networks as one web page")
    explorer.add_argument("output", metavar="OUT.html")

    provenance = commands.add_parser("provenance", help="show where a figure's numbers come from")
    provenance.add_argument("file", metavar="FILE", help="a figure: .png, .svg or .json")

    clean = commands.add_parser("clean", help="delete what can be computed again: the folder build")
    clean.add_argument("--yes", action="store_true", help="delete; without it, only say what would be")

    _add_data(commands)
    return parser


def _add_data(commands) -> None:
    """`data` and its kinds."""
    data = commands.add_parser("data", help="make and convert data")
    kinds = data.add_subparsers(dest="kind", required=True, metavar="KIND", parser_class=_Parser)
    digits = kinds.add_parser("digits", help="generate the event files of the synthetic spoken digits")
    digits.add_argument("--output", help="folder (default: a folder of the cache, $BRC_CACHE or ~/.cache)")
    digits.add_argument("--jobs", type=_at_least(1), help="processes (default: one a core)")
    ship = kinds.add_parser("ship", help="bin generated events into the files beside the code (maintainers)")
    ship.add_argument("--output", help="folder of the generated event files")
    audit = kinds.add_parser("audit", help="what counts, onset, offset and duration tell of the class")
    audit.add_argument("data", metavar="NAME|FILE", help=f"{', '.join(DATA)}, or a file in SHD's layout")
    audit.add_argument("--variant", choices=VARIANTS, help="of a named data set (default norm)")
    audit.add_argument("--data-dir", help="folder or zip with recordings (fsdd), folder of event files (shd, ssc)")
    audit.add_argument("--figure", metavar="OUT.png", help="also draw it (.png, .svg or .pdf)")
    audit.add_argument("--bin-width-ms", type=_width, help="of a file (default 14.14)")
    export = kinds.add_parser("export", help="write timing-only data in SHD's layout, with checksums and data card")
    export.add_argument("data", choices=DATA)
    export.add_argument(
        "--variants", nargs="+", choices=VARIANTS, default=["whole", "part", "norm"],
        help="all spikes, all of the surviving units, equal counts, equal counts and duration (default: the first three)",
    )  # fmt: skip
    export.add_argument("--output", required=True, help="folder to make")
    export.add_argument("--data-dir", help="recordings (fsdd), event files (shd, ssc; an empty folder: downloaded)")
    export.add_argument(
        "--protocol", choices=("strict", "paper"), default="strict",
        help="strict: official parts, counts of training voices (default); paper: the authors' construction to the letter",
    )  # fmt: skip
    export.add_argument("--bin-width-ms", type=_width, help="default 14.14, the paper's 1.4 s / 99")
    export.add_argument("--seed", type=_at_least(0), default=0, help="of the surviving spikes (default 0)")
    convert = kinds.add_parser("convert", help="send one recording through the cochlea")
    convert.add_argument("recording", metavar="IN.wav")
    convert.add_argument("output", metavar="OUT.h5")
    convert.add_argument("--seed", type=_at_least(0), default=0, help="of the auditory nerve (default 0)")


# A command: imports wait until it is called, so that a wrong word is answered at once


def _notebooks(args: argparse.Namespace) -> None:
    from . import notebooks
    from .data.speech import check_names
    from .runs import pick_device

    check_names(args.data, args.data_dir)
    pick_device(args.device)
    if args.scheduler:
        os.environ["BRC_SCHEDULER"] = args.scheduler  # notebooks, in processes of their own, read it
    notebooks.run(args.numbers, args.preset, args.data, args.data_dir, args.device)


def _run(args: argparse.Namespace) -> None:
    from .experiments import EXPERIMENTS, compute
    from .kernels import describe
    from .runs import pick_device

    data = args.data or EXPERIMENTS[args.experiment].data[0]
    how = {"jobs": args.jobs, "scheduler": args.scheduler}
    table = compute(args.experiment, data, args.preset, args.data_dir, args.device, **how)
    failed = sum(row["accuracy"] is None for row in table.rows)
    print(f"{args.experiment} on {data}, {args.preset}: {len(table.rows)} scores, {failed} without a number")
    print(f"Networks on binned spikes were computed by {describe('auto', pick_device(args.device))}.")


def _tune(args: argparse.Namespace) -> None:
    from .tune import main

    main(args.arms, args.jobs)


def _publish(args: argparse.Namespace) -> None:
    from .experiments import finished
    from .tables import publish

    tables, missing = finished(args.preset, args.data_dir)
    for table in tables:
        changed = any(name.endswith("+changes") for name in table.provenance["commits"])
        print(f"{publish(table)}: {table.data}, {table.preset}" + changed * ", in part by code that is in no commit")
    for reason in missing:
        print(f"left out: {reason}")


def _figures(args: argparse.Namespace) -> None:
    from .figures import redraw

    print("Redrawing from the published results (results/published); nothing is trained.", flush=True)
    for path in redraw(args.data, args.preset):
        print(path)


def _claims(args: argparse.Namespace) -> None:
    from . import claims

    text = claims.markdown(claims.judge_published())
    if args.write_readme:
        claims.write_readme(text)
    print(text)


def _site(args: argparse.Namespace) -> None:
    from .site import build

    print(build(args.output))


def _explorer(args: argparse.Namespace) -> None:
    from .explorer.page import export

    print(export(args.output))


def _provenance(args: argparse.Namespace) -> None:
    import json

    from .figures.saving import read_provenance

    print(json.dumps(read_provenance(args.file), indent=1))


def _clean(args: argparse.Namespace) -> None:
    from .clean import clean

    print(clean(args.yes))


def _data(args: argparse.Namespace) -> None:
    if args.kind == "digits":
        from .data.digits import generate_command

        generate_command(args.output, args.jobs)
    elif args.kind == "ship":
        from .data import shipped
        from .data.digits import generate

        shipped.make(generate(args.output))
    elif args.kind == "audit":
        _audit(args)
    elif args.kind == "export":
        from .data.export import export

        width = _seconds(args.bin_width_ms)
        print(export(args.data, args.variants, args.output, args.data_dir, args.protocol, width, args.seed))
    else:
        from .data.convert import convert

        events = convert(args.recording, args.output, args.seed)
        print(f"{args.output}: {len(events.times)} events")


def _seconds(width_ms: float | None) -> float:
    """A width of bins in seconds; the paper's where none is given, or 14.14 ms."""
    from .data.events import BIN_WIDTH_PAPER

    return BIN_WIDTH_PAPER if width_ms is None or round(width_ms, 2) == 14.14 else width_ms / 1e3


def _audit(args: argparse.Namespace) -> None:
    from .data import audit

    named = args.data in DATA
    if named and args.bin_width_ms is not None:
        raise InputError("--bin-width-ms: is of files; named data sets are audited at 14.14 ms")
    if not named and args.variant:
        raise InputError("--variant: is of named data sets; a file holds one variant")
    if args.figure and not args.figure.endswith((".png", ".svg", ".pdf")):
        raise InputError(f"--figure: {args.figure} is no picture; end it with .png, .svg or .pdf")
    variant = args.variant or "norm"
    if named:
        records = audit.audit_variant(args.data, variant, args.data_dir)
    else:
        records = audit.audit_file(args.data, _seconds(args.bin_width_ms))
    print(audit.table(records))
    if args.figure:
        from . import figures
        from .files import write_atomically

        figures.apply_style()
        fig = figures.draw_audit({variant if named else os.path.basename(args.data): records})
        with write_atomically(args.figure) as temporary:
            fig.savefig(temporary, dpi=200)


COMMANDS = {
    "notebooks": _notebooks,
    "run": _run,
    "tune": _tune,
    "publish": _publish,
    "figures": _figures,
    "claims": _claims,
    "site": _site,
    "explorer": _explorer,
    "provenance": _provenance,
    "clean": _clean,
    "data": _data,
}


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
        COMMANDS[args.command](args)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except (RuntimeError, OSError) as error:  # OSError: above all, a full disk or a folder that cannot be written
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept, the same command goes on from there", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
