"""`vgil checkpoint`: show, import, check against a robot, replay, compare. Torch is loaded only when needed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from vgil_ros.assets import checkpoint_path, policy_source
from vgil_ros.cli.checkpoint.card import card
from vgil_ros.cli.options import Checkpoint, RemoteMapping, Source, need_torch
from vgil_ros.cli.report import JsonFile, write_json
from vgil_ros.core.errors import VgilError

if TYPE_CHECKING:
    from vgil_ros.core.execution import KeptExecution
    from vgil_ros.policies import PolicyConfig
    from vgil_ros.policies.device import DtypeName

app = typer.Typer(no_args_is_help=True)
app.command()(card)
NEEDED_BY = "a checkpoint"


@app.command()
def show(checkpoint: Checkpoint, json: JsonFile = None) -> None:
    """Say what a checkpoint is."""
    need_torch(NEEDED_BY)
    from vgil_ros.policies import describe_checkpoint
    from vgil_ros.policies.compatibility import unchecked_fields

    info = describe_checkpoint(checkpoint)
    report = info.config.model_dump(mode="json") | {"parameters": info.parameters, "bytes": info.weight_bytes}
    for line in _lines(info.config):
        typer.echo(line)
    typer.echo(f"weights     {info.parameters / 1e6:.2f} M parameters, {info.weight_bytes / 1e6:.1f} MB")
    for word in unchecked_fields(info.config):
        typer.echo(f"unknown     {word}")
    write_json(json, report)


def _lines(config: PolicyConfig) -> list[str]:
    cameras = [
        c.name
        + ("" if c.height is None else f" {c.height}x{c.width}")
        + ("" if c.source_name is None else f" (called {c.source_name} where it was trained)")
        for c in config.cameras
    ]
    lines = [
        f"type        {config.type}",
        f"cameras     {', '.join(cameras)}",
        f"qpos        {config.state_dim}: {', '.join(config.joint_names) or 'names unknown'}",
        f"action      {config.action_dim}, in chunks of {config.chunk_size}",
        f"rate        {'unknown' if config.rate_hz is None else f'{config.rate_hz:g} Hz'}",
        f"scaling     qpos {config.normalization.qpos.mode}, action {config.normalization.action.mode},"
        f" images {config.normalization.images.mode}",
        *_seen(config),
        f"played by   {config.execution or 'the mode that the robot is given, usually temporal_ensemble'}",
    ]
    return lines + ([f"source      {config.source}"] if config.source else [])


def _seen(config: PolicyConfig) -> list[str]:
    """What of an image a policy sees, where it is not all."""
    crop, resize = getattr(config, "crop", None), getattr(config, "resize", None)
    words = [f"{name} to {size[0]}x{size[1]}" for name, size in (("resized", resize), ("cropped", crop)) if size]
    if not getattr(config, "resize_first", True):
        words.reverse()
    return [f"sees        images {', then '.join(words)}"] if words else []


Replace = Annotated[bool, typer.Option("--replace", help="write over a checkpoint that lies there; other files stay")]


def _may_write(out: Path, source: Path, *, replace: bool) -> None:
    """Refuse to write where something lies already, or where the source is.

    Raises:
        VgilError: it may not be written there.
    """
    if out.exists() and source.exists() and out.resolve() in (source.resolve(), source.resolve().parent):
        raise VgilError(f"--out {out}: is where the checkpoint comes from; allowed: another folder")
    if out.is_dir() and any(out.iterdir()) and not replace:
        raise VgilError(
            f"--out {out}: something lies there already; take another folder, or --replace, which writes over the "
            "checkpoint in it and leaves other files"
        )


@app.command("import")
def import_(
    source: Annotated[Path, typer.Argument(help="a .ckpt file, or a LeRobot folder")],
    out: Annotated[Path, typer.Option(help="the checkpoint folder to write")],
    stats: Annotated[Path | None, typer.Option(help="dataset_stats.pkl; beside the .ckpt by default")] = None,
    cameras: Annotated[str, typer.Option(help="a,b,...: names in the order of training; a .ckpt does not tell")] = "",
    heads: Annotated[int, typer.Option(help="attention heads of an ACT .ckpt")] = 8,
    horizon: Annotated[int | None, typer.Option(min=1, help="actions that act-plus-plus's diffusion predicts")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML that a .ckpt of Diffusion Policy was trained with")] = None,
    vlm: Annotated[
        Path | None,
        typer.Option(help="of a SmolVLA: folder with the vision-language model's config.json, tokenizer.json"),
    ] = None,
    no_statistics: Annotated[
        bool,
        typer.Option("--no-statistics", help="of a SmolVLA that a training is to begin with (initial=), not a robot's"),
    ] = False,
    robot: Annotated[str, typer.Option(help="assume joint names, rate and image sizes of this contract")] = "",
    rate_hz: Annotated[float | None, typer.Option(min=0.1, help="of the data it was trained on, where known")] = None,
    replace: Replace = False,
    json: JsonFile = None,
) -> None:
    """Make a checkpoint folder from another project's checkpoint. No pickle is ever executed."""
    need_torch(NEEDED_BY)
    from vgil_ros.policies.importers import import_checkpoint

    _may_write(out, source, replace=replace)
    named = [name.strip() for name in cameras.split(",") if name.strip()] or None
    extra = _from_robot(robot, named, source.is_dir()) if robot else {}
    assumed = [name for name in ("joint_names", "rate_hz") if name in extra]
    if rate_hz is not None:
        extra["rate_hz"] = rate_hz
        assumed = [name for name in assumed if name != "rate_hz"]
    if config is not None:  # it tells the sizes of the images
        extra.pop("image_sizes", None)
    choices: dict[str, Any] = {"stats": stats, "cameras": named, "heads": heads, "horizon": horizon, "config": config}
    choices |= {"vlm": vlm, "scaled": not no_statistics, "assumed": assumed}
    report = import_checkpoint(source, out, **choices, **extra)
    typer.echo(f"imported {source} ({report.source_format}) to {report.directory}")
    for line in _lines(report.config):
        typer.echo(line)
    words = (*report.assumed, *_of_robot(report.config, robot))
    for word in words:
        typer.echo(f"assumed     {word}")
    if (kept := report.config.execution) is not None:
        told = " ".join(f"{key}:={value}" for key, value in _arguments(kept).items())
        typer.echo(f"trained for {kept}; the robot plays it so, unless it is told otherwise ({told})")
    if report.dropped:
        typer.echo(f"left out    {len(report.dropped)} tensors that inference does not need")
    write_json(json, {"directory": report.directory, "format": report.source_format, "assumed": words})


def _of_robot(config: PolicyConfig, robot: str) -> list[str]:
    """What was taken from a robot and is not known of the training data."""
    values = {
        "rate_hz": f"rate = {config.rate_hz or 0:g} Hz (--rate-hz tells another)",
        "joint_names": f"joints = {', '.join(config.joint_names)}",
    }
    return [f"{values[name]}, of robot {robot}" for name in config.assumed]


def _arguments(kept: KeptExecution) -> dict[str, object]:
    """Launch arguments that say the same."""
    return {"execution": kept.mode, **kept.model_dump(exclude={"mode"}, exclude_none=True)}


def _from_robot(robot: str, cameras: list[str] | None, folder: bool) -> dict[str, Any]:
    from vgil_ros.assets import load_contract
    from vgil_ros.core.layout import Layout

    layout = Layout(load_contract(robot)[0])
    known: dict[str, Any] = {"joint_names": layout.joint_names, "rate_hz": layout.contract.rate_hz}
    if not folder:
        sizes = {camera.name: (camera.height, camera.width) for camera in layout.contract.cameras}
        known["image_sizes"] = {name: sizes[name] for name in cameras or () if name in sizes}
    return known


@app.command()
def compact(
    checkpoint: Checkpoint,
    out: Annotated[Path, typer.Option(help="the checkpoint folder to write")],
    dtype: Annotated[str, typer.Option(help="bf16, fp16 or fp32: how weights lie on disk")] = "bf16",
    replace: Replace = False,
) -> None:
    """Store a checkpoint in half the bytes. It is float32 again once loaded, rounded; its normaliser is not touched.

    What was measured of its training data, for `vgil preflight` and `takeover_score`, goes along.
    """
    need_torch(NEEDED_BY)
    from vgil_ros.policies import describe_checkpoint, load_policy
    from vgil_ros.policies.device import DTYPES
    from vgil_ros.policies.familiar import FILE as FAMILIAR_FILE
    from vgil_ros.policies.reference import REFERENCE_FILE, write_reference

    if dtype not in DTYPES:
        raise VgilError(f"--dtype is '{dtype}'; allowed: {', '.join(DTYPES)}")
    _may_write(out, checkpoint, replace=replace)
    before = describe_checkpoint(checkpoint)
    load_policy(checkpoint).save(out, weight_dtype=cast("DtypeName", dtype))
    for name in (REFERENCE_FILE, FAMILIAR_FILE):
        if (beside := checkpoint / name).is_file():
            try:
                write_reference(beside.read_bytes(), out / name)
            except OSError as error:
                raise VgilError(f"{out / name}: cannot be written ({error.strerror})") from error
    after = describe_checkpoint(out)
    typer.echo(f"{out}: {after.weight_bytes / 1e6:.1f} MB in {dtype} (it was {before.weight_bytes / 1e6:.1f} MB)")


@app.command()
def familiar(
    checkpoint: Checkpoint,
    data: Annotated[Path, typer.Option(help="the episodes that it was trained from, or some of them")],
    device: Annotated[str, typer.Option(help="where the policy runs: cpu, cuda, cuda:1, ...")] = "cpu",
    draws: Annotated[
        int, typer.Option(help="of a policy that draws: chunks from each observation, as takeover_draws", min=1, max=64)
    ] = 4,
    gap: Annotated[
        float,
        typer.Option(
            help="s between two chunks that are compared, of other policies and with --draws 1", min=0, max=10
        ),
    ] = 0.1,
) -> None:
    """Measure what is usual in a checkpoint's training data, and store it with the checkpoint: for `takeover_score`."""
    need_torch(NEEDED_BY)
    from vgil_ros.policies import load_policy
    from vgil_ros.policies.device import one_thread
    from vgil_ros.policies.familiar import save_familiar
    from vgil_ros.policies.inference.runtime import InferenceRuntime
    from vgil_ros.training.data.familiar import measure_familiar
    from vgil_ros.training.data.scan import scan_folder

    folder = checkpoint_path(checkpoint)
    policy = load_policy(folder, device)
    runtime = InferenceRuntime(policy, device)
    paths = [one.path for one in scan_folder(data.expanduser(), log=typer.echo)]
    with one_thread():
        several = policy.stochastic and draws > 1
        found = measure_familiar(
            paths, policy.config, lambda seen: runtime.draw(seen, draws) if several else runtime(seen), gap
        )
    path = save_familiar(folder, found)
    usual = "" if found.disagreement is None else f", of its chunks {found.disagreement:.3f} standard deviations"
    typer.echo(f"{path}: {len(found.points)} points of {len(paths)} episodes; usual novelty {found.novelty:.3f}{usual}")


@app.command()
def check(
    checkpoint: Source,
    robot: Annotated[str, typer.Option(help="a robot's name in config/robots, or a path")],
    remote_mapping: RemoteMapping = None,
    json: JsonFile = None,
) -> None:
    """Name every mismatch between a checkpoint, or a server's policy, and a robot. Exit code 1 when there is one."""
    need_torch(NEEDED_BY)
    from vgil_ros.assets import load_contract
    from vgil_ros.core.layout import Layout
    from vgil_ros.policies import Policy, load_policy
    from vgil_ros.policies.compatibility import compare_with_robot, unchecked_fields
    from vgil_ros.policies.inference.opening import open_for_robot
    from vgil_ros.policies.remote.address import is_remote

    layout = Layout(load_contract(robot)[0])
    if is_remote(checkpoint) or remote_mapping is not None:  # opening it holds it against the robot
        opened = open_for_robot(checkpoint, layout, mapping=remote_mapping)
        config, wrong = opened.config, []
        if not isinstance(opened, Policy):
            opened.close()
    else:
        policy = load_policy(checkpoint_path(checkpoint))
        config, wrong = policy.config, compare_with_robot(policy, layout)
    for line in wrong:
        typer.echo(f"mismatch: {line}")
    unchecked = unchecked_fields(config)
    for word in unchecked:
        typer.echo(f"not checked, the checkpoint does not tell: {word}")
    if not wrong:
        typer.echo(f"{checkpoint} fits robot '{layout.contract.name}'")
    found = {"mismatches": wrong, "unchecked": unchecked, "describes": _lines(config)}
    write_json(json, {"robot": layout.contract.name, **found})
    raise typer.Exit(1 if wrong else 0)


@app.command()
def replay(
    checkpoint: Source,
    episode: Annotated[Path, typer.Option(help="an episode file of any layout")],
    every: Annotated[int, typer.Option(min=1, help="rows between two predictions")] = 10,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...")] = "cpu",
    plot: Annotated[Path | None, typer.Option(help="write a plot here (PNG)")] = None,
    remote_mapping: RemoteMapping = None,
    json: JsonFile = None,
) -> None:
    """Run a checkpoint over a recorded episode and compare its actions with the recorded ones."""
    need_torch(NEEDED_BY)
    from vgil_ros.cli.checkpoint.replay import replay_episode

    source = policy_source(checkpoint)
    report = replay_episode(source, episode, every=every, device=device, plot=plot, mapping=remote_mapping)
    for line in report.lines:
        typer.echo(line)
    write_json(json, report.values)
    raise typer.Exit(1 if report.suspicious else 0)


@app.command()
def compare(
    teacher: Checkpoint,
    student: Checkpoint,
    episodes: Annotated[Path, typer.Option(help="a folder of episodes of any layout, or one file")],
    rows: Annotated[int, typer.Option(min=1, help="observations in all")] = 16,
    seed: Annotated[int, typer.Option(min=0, help="of the noise that both begin from")] = 0,
    json: JsonFile = None,
) -> None:
    """Run a teacher that flows and its student alike and name the first step at which they part. 1: there is one."""
    need_torch(NEEDED_BY)
    from vgil_ros.cli.checkpoint.compare import compare_checkpoints

    report = compare_checkpoints(teacher, student, episodes, rows=rows, seed=seed)
    for line in report.lines:
        typer.echo(line)
    write_json(json, report.values)
    raise typer.Exit(1 if report.faulty else 0)
