"""Sounds of the page: short tones, made here, so that an operator hears what happens without looking."""

from __future__ import annotations

import io
import wave
from functools import cache

import numpy as np
from fastapi import FastAPI
from fastapi.responses import PlainTextResponse, Response

RATE = 16_000  # samples a second
FADE_S = 0.01
# (Hz, s) one after another; 0 Hz is a pause
TONES = {
    "start": ((660, 0.12), (880, 0.18)),
    "stop": ((880, 0.12), (660, 0.18)),
    "saved": ((880, 0.08), (0, 0.03), (1175, 0.16)),
    "bad": ((220, 0.25), (0, 0.06), (220, 0.35)),
}


@cache
def sound(name: str) -> bytes:
    """A WAV file, mono, 16 bits."""
    pieces = []
    for hertz, seconds in TONES[name]:
        at = np.arange(int(RATE * seconds)) / RATE
        fade = np.minimum(1.0, np.minimum(at, seconds - at) / FADE_S)
        pieces.append(np.sin(2.0 * np.pi * hertz * at) * fade * (0.35 if hertz else 0.0))
    samples = (np.concatenate(pieces) * 32767).astype("<i2")
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())
    return out.getvalue()


def add_sounds(app: FastAPI) -> None:
    """Serve them at `/sound/NAME.wav`."""

    @app.get("/sound/{name}.wav")
    async def play(name: str) -> Response:
        if name not in TONES:
            return PlainTextResponse(f"sound '{name}' is unknown; allowed: {', '.join(TONES)}", 404)
        return Response(sound(name), media_type="audio/wav")
