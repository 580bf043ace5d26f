"""A script that serves a policy of LeRobot's on OpenPI's wire, within LeRobot's own environment.

    PYTHON_OF_LEROBOT lerobot_server.py --policy FOLDER [--host 127.0.0.1] [--port 8000] [--device cpu]

`vgil serve --lerobot FOLDER` runs it. It imports lerobot, torch, NumPy, websockets and msgpack, and nothing of this
package, so that neither environment has to fit the other. What it answers is what LeRobot's own code makes of the
observation: its preprocessor, `predict_action_chunk`, its postprocessor. For lerobot 0.4 and later, whose checkpoints
hold their processors. The token is the environment variable VGIL_TOKEN; requests are those of `vgil serve`, images raw.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import math
import os
import re
import signal
import sys
import threading
import time
from http import HTTPStatus
from pathlib import Path
from typing import Any

import numpy as np

NUMBERS = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248])")
MOST_BYTES, MOST_AXES = 64 << 20, 8
LOCAL = ("127.0.0.1", "localhost", "::1")
STATE, IMAGE, IMAGES, ACTION = "observation.state", "observation.image", "observation.images", "action"
EMPTY = "empty_camera_"
PARTS = ("state", "images", "prompt", "past", "reset", "draws")


class Refused(ValueError):
    """A request that cannot be answered, in words."""


def pack(value: Any) -> bytes:
    """Encode a message whose arrays are numbers."""
    import msgpack

    def encoded(part: Any) -> Any:
        if isinstance(part, np.ndarray) and NUMBERS.fullmatch(part.dtype.str):
            found = {b"data": part.tobytes(), b"dtype": part.dtype.str, b"shape": list(part.shape)}
            return {b"__ndarray__": True, **found}
        raise TypeError(f"found {type(part).__name__}; allowed: numbers")

    message: bytes = msgpack.packb(value, default=encoded)
    return message


def unpack(message: bytes) -> Any:
    """Decode a message; what an array claims to be is held against its bytes.

    Raises:
        Refused: it is no message of the wire.
    """
    import msgpack

    def decoded(found: dict[Any, Any]) -> Any:
        if b"__npgeneric__" in found:
            return found.get(b"data")
        if b"__ndarray__" not in found:
            return found
        data, name, shape = (found.get(key) for key in (b"data", b"dtype", b"shape"))
        fits = isinstance(data, bytes) and isinstance(name, str) and NUMBERS.fullmatch(name) is not None
        fits = fits and isinstance(shape, list) and len(shape) <= MOST_AXES
        fits = fits and all(type(size) is int and size >= 0 for size in shape)  # type: ignore[union-attr]
        if not fits or math.prod(shape) * np.dtype(name).itemsize != len(data):  # type: ignore[arg-type]
            words = f"dtype {str(name)[:20]} and shape {str(shape)[:40]}"
            raise Refused(f"an array has {words}; needed are numbers, and as many bytes as they take")
        return np.ndarray(tuple(shape), np.dtype(name), buffer=data)  # type: ignore[arg-type]

    try:
        return msgpack.unpackb(message, strict_map_key=False, object_hook=decoded, max_ext_len=0)
    except Refused:
        raise
    except Exception as error:
        raise Refused(f"a message of {len(message)} bytes is not msgpack ({error}); needed is OpenPI's wire") from None


class LeRobotPolicy:
    """A LeRobot policy with its processors. Calls take turns.

    Args:
        folder: its `pretrained_model`, or a name on the Hub.
        device: where it runs.
    """

    def __init__(self, folder: str, device: str) -> None:
        from lerobot.configs.policies import PreTrainedConfig
        from lerobot.policies.factory import get_policy_class, make_pre_post_processors

        config = PreTrainedConfig.from_pretrained(folder)
        config.device = device
        self.policy = get_policy_class(config.type).from_pretrained(folder, config=config)
        self.config, self._lock = self.policy.config, threading.Lock()
        self._before, self._after = make_pre_post_processors(
            self.config,
            pretrained_path=folder,
            preprocessor_overrides={"device_processor": {"device": device}},
            postprocessor_overrides={"device_processor": {"device": "cpu"}},
        )
        # LeRobot masks those that it calls empty where they are missing: no robot has them
        self.features = {
            key: self._short(key) for key in self.config.image_features if not key.startswith(f"{IMAGES}.{EMPTY}")
        }
        self.cameras = {name: self.config.image_features[key].shape for key, name in self.features.items()}
        self.state_dim = self.config.input_features[STATE].shape[0] if STATE in self.config.input_features else 0
        self.past = max(getattr(self.config, "n_obs_steps", 1), 1) - 1

    @staticmethod
    def _short(key: str) -> str:
        """A camera's own name."""
        return key.removeprefix(f"{IMAGES}.") if key.startswith(f"{IMAGES}.") else key.rpartition(".")[2]

    def example(self) -> dict[str, Any]:
        """A made-up request, for warm-up."""
        shapes = {name: (shape[1], shape[2], 3) for name, shape in self.cameras.items()}
        images = {name: np.zeros(shape, np.uint8) for name, shape in shapes.items()}
        return {"state": np.zeros(self.state_dim, np.float32), "images": images, "prompt": "an example"}

    def metadata(self, rows: int) -> dict[str, Any]:
        """What clients of `vgil` hold against their robot; `rows` of a chunk."""
        words = any("tokenizer" in type(step).__name__.lower() for step in self._before.steps)
        cameras = [{"name": name, "height": shape[1], "width": shape[2]} for name, shape in self.cameras.items()]
        told = {
            "version": 1,
            "type": self.config.type,
            "state_dim": self.state_dim,
            "action_dim": self.config.output_features[ACTION].shape[0],
            "chunk_size": rows,
            "cameras": cameras,
            "past": list(range(self.past, 0, -1)),
            "told": words,
            "steps": getattr(self.config, "n_action_steps", rows),
            "prefix": False,
            "stochastic": self.config.type != "act",
            "images": ["raw"],
        }
        return {"vgil": told}

    def chunks(self, request: Any) -> np.ndarray:
        """The answer to a request: (H, A) float32, or (K, H, A) of `draws`.

        Raises:
            Refused: a part is missing, unknown or of another shape.
        """
        import torch

        frames, prompt = self._frames(request), request.get("prompt") or ""
        draws = request.get("draws", 1)
        if not isinstance(prompt, str) or type(draws) is not int or not 1 <= draws <= 64:
            raise Refused("prompt or draws is of another kind; allowed: a text, and 1 to 64")
        with self._lock, torch.inference_mode():
            if "reset" in request:
                seed = request["reset"].get("seed") if isinstance(request["reset"], dict) else None
                torch.manual_seed(seed if type(seed) is int and 0 <= seed < 2**63 else 0)
            drawn = [self._chunk(frames, prompt) for _ in range(draws)]
        return drawn[0] if draws == 1 else np.stack(drawn)

    def _chunk(self, frames: list[dict[str, Any]], prompt: str) -> np.ndarray:
        """What LeRobot makes of observations, oldest first; the last is now."""
        import torch
        from lerobot.policies.utils import populate_queues

        self.policy.reset()
        queues = getattr(self.policy, "_queues", None)
        for frame in frames:
            batch = self._before({**frame, "task": prompt})
            batch.pop(ACTION, None)
            if queues is not None and IMAGES in queues and self.features:
                batch = dict(batch)
                batch[IMAGES] = torch.stack([batch[key] for key in self.features], dim=-4)
            if queues is not None and set(queues) - {ACTION}:  # those that look back keep what they saw there
                self.policy._queues = queues = populate_queues(queues, batch, exclude_keys=[ACTION])
        chunk = self.policy.predict_action_chunk(batch)
        rows: np.ndarray = self._after(chunk[0]).to(torch.float32).cpu().numpy()
        return rows

    def _frames(self, request: Any) -> list[dict[str, Any]]:
        if not isinstance(request, dict) or not {"state", "images"} <= set(request) <= set(PARTS):
            found = sorted(map(str, request)) if isinstance(request, dict) else type(request).__name__
            raise Refused(f"a request has {found}; needed are 'state' and 'images', allowed: {list(PARTS)}")
        now, past = self._frame(request["state"], request["images"]), request.get("past")
        if not self.past or past is None:
            return [now]
        try:
            known = [i for i, seen in enumerate(past["known"]) if seen]
            shown = [{name: past["images"][name][i] for name in self.cameras} for i in known]
            return [*(self._frame(past["qpos"][i], one) for i, one in zip(known, shown, strict=True)), now]
        except (KeyError, IndexError, TypeError):
            raise Refused(f"past is not whole; needed are qpos, images and known of {self.past} moments") from None

    def _frame(self, state: Any, images: Any) -> dict[str, Any]:
        import torch

        if not isinstance(state, np.ndarray) or state.shape != (self.state_dim,):
            raise Refused(f"state has shape {getattr(state, 'shape', None)}; allowed: ({self.state_dim},)")
        if not isinstance(images, dict) or set(images) != set(self.cameras):
            raise Refused(f"images are not those of the policy; allowed: exactly {list(self.cameras)}")
        frame: dict[str, Any] = {STATE: torch.tensor(np.asarray(state, np.float32))}
        for key, name in self.features.items():
            image, (_, height, width) = images[name], self.cameras[name]
            if isinstance(image, np.ndarray) and image.shape == (3, height, width):
                image = image.transpose(1, 2, 0)
            if not isinstance(image, np.ndarray) or image.shape != (height, width, 3) or image.dtype != np.uint8:
                found = getattr(image, "shape", type(image).__name__)
                raise Refused(f"image of {name}: found {found}; allowed: ({height}, {width}, 3) uint8")
            frame[key] = (torch.tensor(image).permute(2, 0, 1).to(torch.float32) / 255).contiguous()
        return frame


class LeRobotServer:
    """Serves one policy to any number of clients, one request at a time."""

    def __init__(self, policy: LeRobotPolicy, token: str) -> None:
        self._policy, self._token = policy, token
        self._metadata = pack(policy.metadata(len(policy.chunks(policy.example()))))

    async def run(self, host: str, port: int) -> None:
        """Serve until SIGINT or SIGTERM."""
        from websockets.asyncio.server import serve

        ended = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, ended.set)
        async with serve(
            self._talk, host, port, process_request=self._admit, compression=None, max_size=MOST_BYTES
        ) as server:
            found = next(iter(server.sockets)).getsockname()[1]
            print(f"serving {self._policy.config.type} of lerobot on ws://{host}:{found}", flush=True)
            await ended.wait()

    def _admit(self, connection: Any, request: Any) -> Any:
        if request.path == "/healthz":
            return connection.respond(HTTPStatus.OK, "OK\n")
        given = request.headers.get("Authorization", "")
        if self._token and not any(
            hmac.compare_digest(given.encode(), f"{kind} {self._token}".encode()) for kind in ("Api-Key", "Bearer")
        ):
            return connection.respond(HTTPStatus.UNAUTHORIZED, "the token is missing or another one\n")
        return None

    async def _talk(self, websocket: Any) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            await websocket.send(self._metadata)
            async for message in websocket:
                await websocket.send(await asyncio.to_thread(self._answer, message))
        except ConnectionClosed:
            pass

    def _answer(self, message: str | bytes) -> bytes | str:
        try:
            if isinstance(message, str):
                raise Refused("a request is a text; needed is msgpack")
            request, began = unpack(message), time.perf_counter()
            chunk = self._policy.chunks(request)
            return pack({"actions": chunk, "server_timing": {"infer_ms": (time.perf_counter() - began) * 1e3}})
        except Refused as error:
            return str(error)
        except Exception as error:
            print(f"a request failed: {type(error).__name__}: {error}", flush=True)
            return f"the policy failed: {type(error).__name__}: {error}"


def main() -> int:
    """The script."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--policy", required=True, help="a folder pretrained_model, or a name on the Hub")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    if Path(sys.path[0]) == Path(__file__).parent:
        del sys.path[0]  # a module here must not stand for one of LeRobot's
    if not (Path(given.policy) / "config.json").is_file() and os.sep in given.policy:
        print(
            f"error: {given.policy}: holds no config.json; needed is LeRobot's folder pretrained_model", file=sys.stderr
        )
        return 2
    try:
        import lerobot  # noqa: F401
        import msgpack  # noqa: F401
        import websockets  # noqa: F401
    except ImportError as error:
        words = f"{sys.executable} lacks {error.name}; give the Python of an environment with lerobot, and there"
        print(f"error: {words} pip install websockets msgpack", file=sys.stderr)
        return 2
    token = os.environ.get("VGIL_TOKEN", "").strip()
    if given.host not in LOCAL and not token:
        words = f"warning: {given.host} can be reached from other computers, and no token is asked for"
        print(f"{words}; give --token, or the variable VGIL_TOKEN", flush=True)
    try:
        policy = LeRobotPolicy(given.policy, given.device)
        asyncio.run(LeRobotServer(policy, token).run(given.host, given.port))
    except OSError as error:
        print(f"error: {error}; mend it, or give another --host or --port", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
