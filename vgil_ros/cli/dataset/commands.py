"""`vgil dataset`: convert and verify; `check` has a file of its own."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from tqdm import tqdm

from vgil_ros.cli.options import RayAddress
from vgil_ros.cli.report import JsonFile, write_json
from vgil_ros.core.config import validate
from vgil_ros.datasets.convert import convert_dataset
from vgil_ros.datasets.errors import DatasetError
from vgil_ros.datasets.manifest import MANIFEST, read_manifest
from vgil_ros.datasets.plan import IMAGES, TARGETS, Plan
from vgil_ros.datasets.verify import verify
from vgil_ros.episodes.layouts import LAYOUTS

app = typer.Typer(no_args_is_help=True, help="Data sets: check, convert to another layout, verify.")
BAD = 1

Workers = Annotated[
    int | None,
    typer.Option(min=1, max=4096, help="processes, an episode each; as many as the machine, or the cluster, has cores"),
]
Images = Annotated[
    str | None,
    typer.Option(
        help="; ".join(f"{to}: {', '.join(allowed)}" for to, allowed in IMAGES.items()) + "; the first is usual"
    ),
]


def bar(items: Iterable[Any], what: str, count: int) -> Iterable[Any]:
    """A progress bar that shows once something takes longer than two seconds."""
    shown: Iterable[Any] = tqdm(items, desc=what, total=count, unit="episode", delay=2, leave=False)
    return shown


@app.command("convert")
def convert_command(
    source: Annotated[
        Path, typer.Argument(help="Episodes (a folder, or one file), a LeRobotDataset, a zarr folder, MCAPs of ours.")
    ],
    out: Annotated[Path, typer.Argument(help="The new data set's folder; or one that a cut-off conversion left.")],
    to: Annotated[str, typer.Option("--to", help=f"One of: {', '.join(TARGETS)}.")],
    images: Images = None,
    quality: Annotated[int | None, typer.Option(help="of videos the CRF (less is better), of JPEGs 1 to 100")] = None,
    psnr: Annotated[
        float | None,
        typer.Option(
            "--psnr",
            help="dB that each image of a video has to reach, by a lower CRF if need be; 0: any; 40 without --quality",
        ),
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Hz, where the source does not store it.")] = None,
    layout: Annotated[
        str | None, typer.Option("--layout", help=f"Read HDF5 files as: {', '.join(LAYOUTS)}. Found out by itself.")
    ] = None,
    workers: Workers = None,
    ray: RayAddress = None,
    json: JsonFile = None,
) -> None:
    """Write a whole data set in another layout, and prove it; a run that was killed goes on where it was.

    Exit code 1 where an episode could not be converted: it is named, and the others are there all the same.
    """
    if to not in TARGETS:
        raise DatasetError(f"--to is '{to}'; allowed: {list(TARGETS)}")
    values = {"source": source, "to": to, "images": images, "quality": quality, "rate_hz": rate, "layout": layout}
    values["least_db"] = psnr
    plan = validate(Plan, values, "dataset convert", DatasetError)
    count = workers or (len(os.sched_getaffinity(0)) if ray is None else None)
    result = convert_dataset(plan, out, workers=count, ray=ray, progress=bar, say=typer.echo)
    for words in result.left_out.values():
        typer.echo(f"left out: {words}", err=True)
    manifest = read_manifest(out)
    for line in losses(manifest):
        typer.echo(line)
    again = result.episodes - result.made
    found = f" ({again} were there from a run that was cut off)" if again else ""
    typer.echo(
        f"{result.episodes} of {result.episodes + len(result.left_out)} episodes in {out}{found}; see {MANIFEST}"
    )
    write_json(json, manifest)
    raise typer.Exit(BAD if result.left_out else 0)


def losses(manifest: dict[str, Any]) -> list[str]:
    """What the target could not keep, one line for each stream, the worst episode's figure."""
    lines: dict[str, tuple[float, str]] = {}
    for episode in manifest["episodes"]:
        for name, stream in episode["streams"].items():
            if "psnr_db" in stream:
                least = stream["psnr_db"]["least"]
                found = (
                    least,
                    f"{name}: images went through a codec, PSNR at least {least:.1f} dB ({episode['name']})",
                )
            elif "kept" in stream:
                found = (0.0, f"{name}: the layout has no place for it") if stream["kept"] is None else (0.0, "")
            elif stream["sha256"] is None:
                found = (0.0, f"{name}: the layout has no place for it")
            elif stream["largest_error"] is None:
                found = (0.0, f"{name}: added in rows where the source has none")
            else:
                error = stream["largest_error"]
                found = (-error, f"{name}: largest error {error:.3g} ({episode['name']})") if error else (0.0, "")
            if found[1] and (name not in lines or found[0] < lines[name][0]):
                lines[name] = found
    shift = max((e["timing"].get("from_even_ticks_ms", 0.0) for e in manifest["episodes"]), default=0.0)
    told = [f"  {words}" for _, words in lines.values()]
    beside = dict.fromkeys(name for episode in manifest["episodes"] for name in episode.get("not_kept", ()))
    told += [f"  {name}: is not kept" for name in beside]
    if manifest["to"].startswith("lerobot") and shift > 0:
        told.append(f"  timestamps are even, as LeRobot wants them: up to {shift:.3f} ms from the true stamps")
    return told


@app.command("verify")
def verify_command(
    folder: Annotated[Path, typer.Argument(help="A data set that `vgil dataset convert` wrote.")],
    workers: Workers = None,
    json: JsonFile = None,
) -> None:
    """Hold a data set against its manifest: the hash of each stream, every image decoded; exit code 1 if bad."""
    wrong = verify(folder, bar, workers=workers or len(os.sched_getaffinity(0)))
    for line in wrong:
        typer.echo(f"BAD: {line}")
    count = len(read_manifest(folder)["episodes"])
    typer.echo(f"{count} episodes: " + (f"{len(wrong)} problems" if wrong else "all as they were written"))
    write_json(json, {"episodes": count, "problems": wrong})
    raise typer.Exit(BAD if wrong else 0)
