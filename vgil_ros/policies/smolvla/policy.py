"""SmolVLA as a policy: units in, units out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from vgil_ros.policies.errors import PolicyError
from vgil_ros.policies.flow_matching.policy import FlowPolicy
from vgil_ros.policies.flow_matching.task import task_texts
from vgil_ros.policies.observation import Batch, Observation, TaskPart
from vgil_ros.policies.preparation import check_vector, prepare, to_tensor
from vgil_ros.policies.smolvla.config import SmolVlaConfig
from vgil_ros.policies.smolvla.language import TOKENIZER_FILE, TaskTokenizer, Words
from vgil_ros.policies.smolvla.model import Prefix, SmolVlaModel

FROZEN = (  # settings of what never learns; the others are of the expert, the state or the way a chunk is made
    "text", "vision", "scale_factor", "patch_positions", "image_start", "image_end", "empty_cameras", "max_words",
)  # fmt: skip


class SmolVlaPolicy(FlowPolicy):
    """The action expert learns, the vision-language model never does.

    Beside what every flow takes an observation holds "task", a text or a list of them, unless the configuration does.
    """

    config_class: ClassVar[type[SmolVlaConfig]] = SmolVlaConfig
    config: SmolVlaConfig
    model: SmolVlaModel
    files_needed: ClassVar[tuple[str, ...]] = (TOKENIZER_FILE,)

    def __init__(self, config: SmolVlaConfig) -> None:
        super().__init__(config)
        self.model = SmolVlaModel(config)
        self._tokenizer: TaskTokenizer | None = None

    def set_files(self, files: Mapping[str, bytes]) -> None:
        """See `Policy.set_files`: the tokenizer of the vision-language model."""
        super().set_files(files)
        self._tokenizer = TaskTokenizer(files[TOKENIZER_FILE], self.config.text.vocabulary, self.config.max_words)

    def encode(self, observation: Observation) -> Prefix:
        """See `FlowPolicy.encode`."""
        self.require_normalizer()
        if (frozen := cast(Batch, observation).get("frozen")) is not None:
            qpos = to_tensor(observation["qpos"], self.device).to(torch.float32)
            check_vector("qpos", tuple(qpos.shape), (None, self.config.state_dim))
            seen = Prefix.of(frozen)
            return self.model.field.given(self.model.prefix.with_state(seen, self.state_to_network(qpos)))
        qpos, images, words = self._prepared(observation)
        prefix: Prefix = self.model.prefix(self.state_to_network(qpos), images, words)
        return self.model.field.given(prefix)

    @torch.no_grad()
    def frozen(self, observation: Observation, *, fixed: bool = False) -> dict[str, Tensor]:
        """See `FlowPolicy.frozen`: the language model's keys and values of images and task."""
        _, images, words = self._prepared(observation, self.config.max_words if fixed else None)
        return self.model.prefix.look(images, words).stacked()

    def frozen_settings(self) -> dict[str, Any]:
        """See `FlowPolicy.frozen_settings`."""
        settings = self.config.model_dump(mode="json", include=set(FROZEN))
        return {**settings, "images": self.config.normalization.images.model_dump(mode="json")}

    def _prepared(self, observation: Observation, width: int | None = None) -> tuple[Tensor, list[Tensor], Words]:
        qpos, frames = prepare(self.config, observation, self.device)
        images = [self.normalizer.normalize_images(image, index) for index, image in enumerate(frames)]
        return qpos, images, self.words_of(observation, len(qpos), width)

    def words_of(self, observation: TaskPart, batch: int, width: int | None = None) -> Words:
        """Tokens of the tasks of an observation, on the policy's device.

        Raises:
            PolicyError: it names no task, or is told one as a vector; or the tokenizer is not set.
        """
        if self._tokenizer is None:
            raise PolicyError(f"{TOKENIZER_FILE} is not set; allowed: a checkpoint folder that holds it")
        texts = task_texts(self.config, observation, batch)
        if texts is None:
            raise PolicyError(
                "task: the observation holds no 'task'; allowed is a text, or one as `task` in the policy's "
                "configuration; a 'task_embedding' is not for this policy"
            )
        return self._tokenizer(texts, self.device, width)
