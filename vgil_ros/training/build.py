"""From a configuration to everything that the training loop turns over: data, policy, optimiser."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from vgil_ros.core.config import validate
from vgil_ros.episodes.checks.same_setup import VECTOR
from vgil_ros.policies.base import Policy
from vgil_ros.policies.config import CameraSpec, PolicyConfig, VectorSpec
from vgil_ros.policies.diffusion.config import DiffusionConfig
from vgil_ros.policies.nn.backbones import MobileNetBackbone, ResNetBackbone, SmallBackbone, load_pretrained
from vgil_ros.policies.optical_flow import FlowField
from vgil_ros.policies.registry import policy_class
from vgil_ros.training.config import DataConfig, ScheduleConfig, TrainConfig
from vgil_ros.training.data.corrections import correction_rows, drawn_groups, human_rows
from vgil_ros.training.data.data_report import (
    SHOWN,
    choose_episodes,
    odd_episodes,
    summary,
    warnings,
    without_twins,
)
from vgil_ros.training.data.dataset import EpisodeDataset, SampleSpec
from vgil_ros.training.data.episode_stats import EpisodeStats, make_normalizer, merge_all
from vgil_ros.training.data.flow_cache import FlowCache, make_flow_cache
from vgil_ros.training.data.image_cache import DecodedImages, available_memory
from vgil_ros.training.data.sampling import Sampling, split_episodes
from vgil_ros.training.data.scan import check_same, check_vectors, choose_cameras, fingerprint, scan_folder
from vgil_ros.training.distributed import Accelerator, first_before_others
from vgil_ros.training.errors import TrainingError
from vgil_ros.training.pretrained.initial import take_initial

Log = Callable[[str], None]
GIB = 1 << 30
USUALLY_SEEN, LEAST_SEEN = 0.7, 0.4  # shares of an image within the crop
DERIVED = (
    "state_dim",
    "action_dim",
    "cameras",
    "vectors",
    "joint_names",
    "rate_hz",
    "fingerprint",
    "software",
    "source",
    "assumed",
)


@dataclass(frozen=True)
class TrainingData:
    """Episodes split for training and validation, how the first are sampled, and the policy that fits them."""

    stats: tuple[EpisodeStats, ...]
    cameras: tuple[str, ...]
    policy: PolicyConfig
    train: EpisodeDataset
    validation: EpisodeDataset
    sampling: Sampling
    fingerprint: str


def load_data(
    config: TrainConfig,
    log: Log,
    *,
    progress: bool = False,
    held_out: Collection[str] | None = None,
    resumed: bool = False,
    accelerator: Accelerator | None = None,
) -> TrainingData:
    """Scan the folders and split them.

    Args:
        held_out: digests of the episodes that are kept for validation; None: they are chosen.
        resumed: for a run that goes on: what it does to its images was settled when it began, and is not refused now.
        accelerator: the processes that share a run; the first one reads the folders, the others what it remembered.

    Raises:
        TrainingError: an empty folder, a broken episode, episodes that do not agree or whose numbers cannot be right,
            settings that the policy refuses.
    """
    with first_before_others(accelerator) if accelerator is not None else nullcontext():
        stats, folders = _scanned(config.data, log, progress=progress)
    stats, folders, left_out = _chosen(config.data, stats, folders, log)
    cameras = choose_cameras(stats, config.data.cameras)
    vectors = config.data.vectors
    check_vectors(stats, vectors)
    check_same(stats, cameras, base=config.data.base_action, vectors=vectors)
    train, validation = _split(config, stats, folders, held_out)
    mark = fingerprint(stats, cameras, base=config.data.base_action, vectors=vectors)
    policy = _policy_config(config, stats, cameras, mark)
    check_crop(policy, log, refuse=not resumed)
    _tell(config.data, stats, policy, validation, left_out, log)
    spec = SampleSpec(
        cameras, policy.chunk_size, base=config.data.base_action, obs_offsets=policy.obs_offsets, vectors=vectors
    )
    chosen = [stats[i] for i in train]
    shared = config.data.flow_workers > 1 or config.data.flow_ray is not None  # by processes of the first one
    with first_before_others(accelerator) if accelerator is not None and shared else nullcontext():
        flows = _flows(config, policy, stats, log, progress=progress)
    only = config.data.corrections == "only"
    skip = config.data.still_starts == "skip"
    data = EpisodeDataset(chosen, spec, _decoded(config, chosen, cameras), flows, only, skip)
    groups = [
        np.concatenate(
            [np.array([], int), *(data.usable_of(i) for i, own in enumerate(train) if folders[own] == number)]
        )
        for number in range(len(config.data.folders))
    ]
    weights = [folder.weight for folder in config.data.folders if folder.weight is not None]
    return TrainingData(
        stats=tuple(stats),
        cameras=cameras,
        policy=policy,
        train=data,
        validation=EpisodeDataset([stats[i] for i in validation], spec, None, flows, only, skip),
        sampling=_sampling(config, chosen, groups, weights, log),
        fingerprint=mark,
    )


def _sampling(
    config: TrainConfig, chosen: list[EpisodeStats], groups: list[np.ndarray], weights: list[float], log: Log
) -> Sampling:
    """How the rows of the episodes that are trained from are drawn."""
    wanted = config.data.corrections
    human, corrected = (np.concatenate([rows(one) for one in chosen]) for rows in (human_rows, correction_rows))
    if corrected.any() or wanted != "all":
        log(f"{corrected.sum()} of {len(corrected)} rows are corrections; data.corrections is {wanted}")
    if config.data.still_starts == "skip":
        still = sum(one.facts.still for one in chosen)
        log(f"{still} of {len(corrected)} rows come before an episode's first motion; they are left out")
    return Sampling(*drawn_groups(groups, weights or None, wanted, human, corrected), config.seed)


def _scanned(data: DataConfig, log: Log, *, progress: bool) -> tuple[list[EpisodeStats], list[int]]:
    """All episodes, and the numbers of their folders."""
    stats: list[EpisodeStats] = []
    folders: list[int] = []
    for number, folder in enumerate(data.folders):
        in_folder = scan_folder(
            folder.path.expanduser(),
            skip_bad=data.skip_bad,
            aborted=data.aborted,
            log=log,
            progress=lambda paths: tqdm(paths, "scan", unit="episode", delay=2, leave=False, disable=not progress),
        )
        stats += in_folder
        folders += [number] * len(in_folder)
    return stats, folders


def _chosen(
    data: DataConfig, stats: list[EpisodeStats], folders: list[int], log: Log
) -> tuple[list[EpisodeStats], list[int], tuple[str, ...]]:
    """The episodes that are trained from, their folders' numbers, and what was left out, in words."""
    places, left_out = choose_episodes(stats, log, aborted=data.aborted, only_successes=data.only_successes)
    odd = {places[i]: words for i, words in odd_episodes([stats[i] for i in places]).items()}
    for words in odd.values():
        log(f"odd episode: {words}" + ("; skipped" if data.skip_bad and not data.accept_odd else ""))
    if odd and not data.accept_odd:
        if not data.skip_bad or len(odd) == len(places):
            raise TrainingError(
                f"{len(odd)} of {len(places)} episodes hold numbers that cannot be right: "
                f"{' | '.join(list(odd.values())[:SHOWN])}{' ...' if len(odd) > SHOWN else ''}; mend them, leave them "
                "out with --skip-bad, or train from them all the same with data.accept_odd=true"
            )
        places = [i for i in places if i not in odd]
        left_out = (*left_out, f"{len(odd)} odd")
    return [stats[i] for i in places], [folders[i] for i in places], left_out


def _split(
    config: TrainConfig, stats: list[EpisodeStats], folders: list[int], held_out: Collection[str] | None
) -> tuple[list[int], list[int]]:
    """Places of the episodes for training and validation."""
    if held_out is None:
        return without_twins(stats, *split_episodes(folders, config.data.validation, config.seed))
    places = range(len(stats))
    return [i for i in places if stats[i].digest not in held_out], [i for i in places if stats[i].digest in held_out]


def _tell(
    data: DataConfig,
    stats: list[EpisodeStats],
    policy: PolicyConfig,
    validation: list[int],
    left_out: tuple[str, ...],
    log: Log,
) -> None:
    """Say what is trained from, and what a person should know of it."""
    for line in summary(stats, validation, left_out):
        log(line)
    for words in warnings(stats, policy):
        log(f"warning: {words}")
    if data.validation > 0 and not validation:
        log(f"warning: none of {len(stats)} episodes can be kept for validation: there will be no best checkpoint")


def check_crop(policy: PolicyConfig, log: Log, *, refuse: bool = True) -> None:
    """Say where a policy sees little of its images, and `refuse` where it sees next to nothing.

    Raises:
        TrainingError: the crop is below `LEAST_SEEN` of the image.
    """
    if not isinstance(policy, DiffusionConfig) or policy.crop is None:
        return
    crop, resize = policy.crop, policy.resize if policy.resize_first else None
    for camera in policy.cameras:
        height, width = resize or (camera.height or crop[0], camera.width or crop[1])
        share = crop[0] * crop[1] / (height * width)
        if share >= USUALLY_SEEN:
            continue
        words = (
            f"the policy sees {share:.0%} of an image of {camera.name}: policy.crop is {crop[0]} x {crop[1]} of "
            f"{height} x {width}; policy.resize=[{round(crop[0] / 0.9)}, {round(crop[1] / 0.9)}] scales it down first, "
            f"policy.crop=[{round(height * 0.9)}, {round(width * 0.9)}] takes more of it"
        )
        if share < LEAST_SEEN and refuse:
            raise TrainingError(words)
        log(f"warning: {words}")


def _decoded(config: TrainConfig, episodes: list[EpisodeStats], cameras: tuple[str, ...]) -> DecodedImages:
    fellows = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    limit = min(config.data.decoded_gib * GIB, available_memory() / 2 / fellows)
    return DecodedImages(episodes, cameras, int(limit))


def _flows(
    config: TrainConfig, policy: PolicyConfig, episodes: list[EpisodeStats], log: Log, *, progress: bool
) -> FlowCache | None:
    """Optical flow of all episodes, where the policy takes it and there is room to keep it."""
    if policy.optical_flow is None or config.data.flow_cache_gib == 0:
        return None
    field = FlowField(policy.optical_flow)
    _fill_flow(field, config)
    return make_flow_cache(
        episodes,
        policy.camera_names,
        policy.obs_offsets,
        field.to(config.device),
        limit=int(config.data.flow_cache_gib * GIB),
        log=log,
        progress=progress,
        workers=config.data.flow_workers,
        ray=config.data.flow_ray,
    )


def _fill_flow(module: nn.Module, config: TrainConfig) -> None:
    """Give weights to the optical flow within a module, where its method has any."""
    for part in module.modules():
        if isinstance(part, FlowField):
            part.fill(config.flow_weights)


def make_policy(config: TrainConfig, data: TrainingData, log: Log) -> Policy:
    """Build the policy that fits the data, with its normaliser set.

    Raises:
        TrainingError, PolicyError: pretrained or initial weights are asked for, or needed, and cannot be had.
    """
    torch.manual_seed(config.seed)
    policy = policy_class(data.policy.type)(data.policy)
    stats = data.stats
    action = merge_all(one.action for one in stats)
    if config.data.base_action:
        action = action.join(merge_all(one.base for one in stats if one.base is not None))
    images = {name: merge_all(one.cameras[name].pixels for one in stats) for name in data.cameras}
    state = merge_all(one.state(config.data.vectors) for one in stats)
    policy.set_normalizer(make_normalizer(policy.config.normalization, state, action, images, data.cameras))
    _fill_backbones(policy, config, log)
    _fill_flow(policy, config)
    take_initial(policy, config.initial)
    return policy


def _policy_config(config: TrainConfig, stats: list[EpisodeStats], cameras: tuple[str, ...], mark: str) -> PolicyConfig:
    kind = policy_class(str(config.policy.get("type"))).config_class
    given = sorted(set(config.policy) & set(DERIVED))
    if given:
        raise TrainingError(f"policy: {', '.join(given)} come from the data; leave them out")
    first = stats[0]
    sizes = tuple(
        CameraSpec(name=name, height=first.cameras[name].height, width=first.cameras[name].width) for name in cameras
    )
    derived = {
        "state_dim": len(first.state(config.data.vectors).mean),
        "vectors": tuple(_vector(name, stats) for name in config.data.vectors),
        "action_dim": len(first.action.mean) + (2 if config.data.base_action else 0),
        "cameras": sizes,
        "joint_names": next((one.joint_names for one in stats if one.joint_names), ()),
        "rate_hz": next((one.rate_hz for one in stats if one.rate_hz), None),
        "fingerprint": mark,
    }
    return _without_idle_resize(validate(kind, {**config.policy, **derived}, "policy", TrainingError, derived=DERIVED))


def _vector(name: str, stats: list[EpisodeStats]) -> VectorSpec:
    meaning = next((one.setup[VECTOR + name] for one in stats if VECTOR + name in one.setup), "")
    return VectorSpec(name=name, size=len(stats[0].vectors[name].mean), meaning=meaning)


def _without_idle_resize(policy: PolicyConfig) -> PolicyConfig:
    """A policy whose images have the size already that they would be brought to is not slowed down by that."""
    if not isinstance(policy, DiffusionConfig) or policy.resize is None or not policy.resize_first:
        return policy
    idle = all((camera.height, camera.width) == policy.resize for camera in policy.cameras)
    return policy.model_copy(update={"resize": None}) if idle else policy


def _backbones(policy: Policy) -> list[nn.Module]:
    return [part for part in policy.modules() if isinstance(part, (ResNetBackbone, MobileNetBackbone, SmallBackbone))]


def _fill_backbones(policy: Policy, config: TrainConfig, log: Log) -> None:
    name, norm = getattr(policy.config, "backbone", None), getattr(policy.config, "backbone_norm", None)
    if config.backbone_weights is None:
        if norm == "frozen":
            log("note: the backbone's frozen batch norm does nothing without backbone_weights; consider group norm")
        return
    if name is None:
        raise TrainingError(f"backbone_weights: policy type {policy.config.type!r} has no such backbone")
    file = None if config.backbone_weights == "imagenet" else config.backbone_weights
    for backbone in _backbones(policy):
        load_pretrained(backbone, name, file)


def make_optimizer(policy: Policy, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW over two groups: the image backbones', and the rest; each knows its full rate as `full_lr`."""
    settings = config.optimizer
    backbone = {id(p) for part in _backbones(policy) for p in part.parameters()}
    trained = [p for p in policy.parameters() if p.requires_grad]
    backbone_lr = settings.lr if settings.backbone_lr is None else settings.backbone_lr
    groups = [
        {"params": [p for p in trained if id(p) not in backbone], "lr": settings.lr, "full_lr": settings.lr},
        {"params": [p for p in trained if id(p) in backbone], "lr": backbone_lr, "full_lr": backbone_lr},
    ]
    return torch.optim.AdamW(groups, betas=settings.betas, weight_decay=settings.weight_decay, fused=True)


def rate_factor(schedule: ScheduleConfig, step: int, steps: int) -> float:
    """Share of the full learning rate at a step, counted from 0."""
    if step < schedule.warmup_steps:
        return (step + 1) / schedule.warmup_steps
    if schedule.kind == "constant":
        return 1.0
    done = (step - schedule.warmup_steps) / max(1, steps - 1 - schedule.warmup_steps)
    return schedule.final + (1 - schedule.final) * (1 + math.cos(math.pi * min(done, 1.0))) / 2
