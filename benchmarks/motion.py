"""What does it cost to look for motion in the pictures of many cameras, for each camera and picture?

`python -m benchmarks.motion [--clip FILE] [--seconds 2] [--memory-steps 3000]`

Real pictures (a clip of the test data, else drawn ones) as thumbnails of 192 by 108, each camera at another moment of the
clip, 15 pictures a second; CPU of one thread, OpenCV held to one, median of 3. Decoding and resizing are not in it. `motion` is the
scene core with health switched off, `health` what it takes on top (each camera is judged about once a second). `still` shows each
camera one picture and its noise, `busy` the clip as it runs. Baselines of the same run: MOG2 of OpenCV, one for each
camera, on the same thumbnails; and what is mostly written by hand: one camera at a time at 1080p to BGR, to grey, blurred, against the
last picture, threshold, dilated, contours. Then the memory of the process over many steps.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt
import psutil

from analytics.scene.bank import SceneBank, SceneLimits
from benchmarks.machine import machine

HEIGHT_PX, WIDTH_PX = 108, 192
TARGET_US = 10.0
CAMERAS = (1, 10, 64, 6_400)
RUNS = 3
GAP_MS = 66
#: Thumbnails of the clip that are kept.
MAX_PICTURES = 600
STEPS_BEFORE = 35
#: The 1080p pictures of the naive way, and how many rounds it gets.
NAIVE_PICTURES = 12
CLIP = "hall-768x432.mp4"

Luma = npt.NDArray[np.uint8]


def clip(path: Path | None) -> tuple[Luma, list[Luma]]:
    """Thumbnails of a clip (n, H, W), and a few pictures of it at 1080p as planes of YUV 4:2:0 (1620, 1920)."""
    small: list[Luma] = []
    large: list[Luma] = []
    if path is None:
        chance = np.random.default_rng(7)
        view = cv2.resize(chance.integers(60, 190, (27, 48), np.uint8), (WIDTH_PX, HEIGHT_PX))
        for at in range(MAX_PICTURES):
            picture = view.copy()
            picture[40:70, at % 180 : at % 180 + 20] = 230
            small.append(np.asarray(picture, np.uint8))
        large = [np.asarray(cv2.resize(one, (1920, 1620)), np.uint8) for one in small[:NAIVE_PICTURES]]
        return np.stack(small), large
    with av.open(str(path)) as container:
        container.streams.video[0].thread_count = 1
        for frame in container.decode(video=0):
            plane = frame.planes[0]
            luma = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
            small.append(np.asarray(cv2.resize(luma, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_AREA), np.uint8))
            if len(large) < NAIVE_PICTURES and len(small) > 60:
                large.append(np.asarray(frame.reformat(1920, 1080, "yuv420p").to_ndarray(), np.uint8))
            if len(small) == MAX_PICTURES:
                break
    return np.stack(small), large


def still(pictures: Luma) -> Luma:
    """The first picture with a sensor's noise, as many times."""
    chance = np.random.default_rng(11)
    noise = np.rint(chance.normal(0, 0.6, (64, HEIGHT_PX, WIDTH_PX)))
    shown: Luma = np.clip(pictures[0] + noise, 0, 255).astype(np.uint8)
    return shown


def cpu_us(work: Callable[[int], None], prepare: Callable[[int], None], seconds: float) -> float:
    """Median CPU of `work(step)`, microseconds, over RUNS runs; `prepare(step)` before each is not counted."""
    taken, step = [], 0
    for _ in range(STEPS_BEFORE):
        prepare(step)
        work(step)
        step += 1
    for _ in range(RUNS):
        used_ns, steps = 0, 0
        while used_ns < seconds * 1e9 / RUNS or steps < 15:
            prepare(step)
            began_ns = time.thread_time_ns()
            work(step)
            used_ns += time.thread_time_ns() - began_ns
            steps += 1
            step += 1
        taken.append(used_ns / steps / 1000)
    return statistics.median(taken)


def scene_us(pictures: Luma, cameras: int, seconds: float, *, health: bool) -> float:
    """The scene core, for each camera and picture."""
    limits = SceneLimits() if health else SceneLimits(health_every_s=1e9, suspect_every_s=1e9)
    bank = SceneBank(cameras, limits=limits)
    rows = np.arange(cameras, dtype=np.int32)
    luma = np.empty((cameras, HEIGHT_PX, WIDTH_PX), np.uint8)
    begin = np.arange(cameras) * 17
    time_ms = np.zeros(cameras, np.int64)

    def prepare(step: int) -> None:
        np.take(pictures, (begin + step) % len(pictures), axis=0, out=luma)
        time_ms[:] = step * GAP_MS

    def work(step: int) -> None:
        del step
        bank.step(rows, luma, time_ms)

    return cpu_us(work, prepare, seconds) / cameras


def mog2_us(pictures: Luma, cameras: int, seconds: float) -> float:
    """MOG2 for each camera, on the thumbnails."""
    models = [cv2.createBackgroundSubtractorMOG2(detectShadows=False) for _ in range(cameras)]
    mask = np.empty((HEIGHT_PX, WIDTH_PX), np.uint8)

    def work(step: int) -> None:
        for at, model in enumerate(models):
            model.apply(pictures[(at * 17 + step) % len(pictures)], mask)
            cv2.countNonZero(mask)

    return cpu_us(work, lambda _: None, seconds) / cameras


def naive_us(planes: list[Luma], seconds: float) -> float:
    """One camera at 1080p, by way of BGR."""
    last: list[Luma] = []

    def work(step: int) -> None:
        bgr = cv2.cvtColor(planes[step % len(planes)], cv2.COLOR_YUV2BGR_I420)
        grey = cv2.GaussianBlur(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), (21, 21), 0)
        if last:
            _, mask = cv2.threshold(cv2.absdiff(grey, last[0]), 25, 255, cv2.THRESH_BINARY)
            found, _ = cv2.findContours(
                cv2.dilate(mask, np.ones((3, 3), np.uint8), iterations=2), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE
            )
            sum(cv2.contourArea(one) > 500 for one in found)
        last[:] = [np.asarray(grey, np.uint8)]

    return cpu_us(work, lambda _: None, seconds)


def memory_mib(pictures: Luma, steps: int) -> tuple[float, float]:
    """Resident memory after a tenth of the steps of 64 cameras, and after all of them."""
    bank, process = SceneBank(64), psutil.Process()
    rows, begin = np.arange(64, dtype=np.int32), np.arange(64) * 17
    luma = np.empty((64, HEIGHT_PX, WIDTH_PX), np.uint8)
    early = 0.0
    for step in range(steps):
        np.take(pictures, (begin + step) % len(pictures), axis=0, out=luma)
        bank.step(rows, luma, np.full(64, step * GAP_MS, np.int64))
        if step % 500 == 499:
            bank.reset(step // 500 % 64)
        if step == steps // 10:
            early = process.memory_info().rss / 2**20
    return early, process.memory_info().rss / 2**20


def _found(given: Path | None) -> Path | None:
    folder = os.environ.get("LUCHENG_TEST_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data"
    path = given or Path(folder) / "video" / CLIP
    return path if path.exists() else None


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clip", type=Path, help=f"video file; default {CLIP} of the test data")
    parser.add_argument("--seconds", type=float, default=2.0, help="of CPU for each number")
    parser.add_argument("--memory-steps", type=int, default=3_000, help="steps of 64 cameras")
    given = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    path = _found(given.clip)
    print(__doc__)
    print(machine())
    pictures, large = clip(path)
    print(
        f"pictures: {path.name if path else 'drawn'}, {len(pictures)} thumbnails; others on this machine: load {os.getloadavg()[0]:.1f}"
    )
    print(f"{'cameras':>8} {'view':>6} {'motion µs':>10} {'health µs':>10} {'together µs':>12}")
    at_64: dict[str, float] = {}
    for cameras in CAMERAS:
        for name, shown in (("still", still(pictures)), ("busy", pictures)):
            motion = scene_us(shown, cameras, given.seconds, health=False)
            both = scene_us(shown, cameras, given.seconds, health=True)
            print(f"{cameras:>8} {name:>6} {motion:>10.1f} {both - motion:>10.1f} {both:>12.1f}", flush=True)
            if cameras == 64:
                at_64[name] = motion
    mog2 = mog2_us(pictures, 64, given.seconds)
    naive = naive_us(large, given.seconds)
    print(
        f"asked of motion at 64 cameras: at most {TARGET_US:.0f} µs; measured {at_64['still']:.1f} µs on still views,"
        f" {at_64['busy']:.1f} µs on busy ones"
    )
    print(f"MOG2 on the thumbnail: {mog2:.1f} µs, {mog2 / at_64['busy']:.0f} × motion on busy views")
    print(f"naive at 1080p by way of BGR: {naive:.0f} µs, {naive / at_64['busy']:.0f} ×")
    early, late = memory_mib(pictures, given.memory_steps)
    hours = given.memory_steps * GAP_MS / 3.6e6
    print(
        f"memory: {early:.1f} MiB after a tenth, {late:.1f} MiB after {given.memory_steps:,} steps ({hours:.2f} h of 64 cameras)"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
