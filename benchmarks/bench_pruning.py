"""Pruning curve of 4,000 images x 512 features and a head of 1,000 classes, at every k from 0 to 512.

Bars: 15 times less CPU time than one matrix product per k, 5 times less than one rank-1 update and argmax
per k; peak memory below twice the inputs.
"""

import resource
import statistics
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pandas as pd
import torch

from benchmarks import harness
from featurelens import heads, kernels
from featurelens.kernels import Directions

IMAGES, FEATURES, CLASSES = 4_000, 512, 1_000
MANY_IMAGES, MANY_FEATURES = 50_000, 1024
# One product per k takes the longest by far: every 8th k stands for all, with the same mean k.
SOME_K = range(0, FEATURES + 1, 8)
# Images and directions.
MEMORY_SIZES = ((IMAGES, 128), (IMAGES, 256), (IMAGES, 512), (MANY_IMAGES, 512))
# Rivals score in float32: this many images, whose two highest scores are close, may go the other way.
CLOSE = 3


def inputs(n_images: int, width: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return features, head, and labels half of which are what the head says."""
    random = torch.Generator().manual_seed(0)
    h_ND = torch.randn(n_images, width, generator=random)
    w_CD = torch.randn(CLASSES, width, generator=random)
    other_N = torch.randint(0, CLASSES, (n_images,), generator=random)
    return h_ND, w_CD, torch.where(torch.arange(n_images) % 2 == 0, heads.predict(h_ND, w_CD), other_N)


class Rivals:
    """What one would write without the library, in float32."""

    def __init__(self, h_ND: torch.Tensor, own: Directions, y_N: torch.Tensor, order_K: torch.Tensor) -> None:
        self.h_ND, self.y_N = h_ND, y_N
        self.v_KD = own.v_DK.T[order_K].float().contiguous()
        self.a_KC = (own.u_CK * own.s_K).T[order_K].float().contiguous()
        self.score_NC = torch.empty(len(h_ND), self.a_KC.shape[1])

    def product_per_k(self, ks: range) -> list[int]:
        """Multiply the first k coefficients and directions, for each k; the highest score wins."""
        c_KN = self.v_KD @ self.h_ND.T
        return [self._argmax(torch.mm(c_KN[:k].T, self.a_KC[:k], out=self.score_NC)) for k in ks]

    def update_per_k(self) -> list[int]:
        """Add one direction to all scores, for each k; the highest score wins."""
        return self._updates(self._argmax)

    def update_without_argmax(self) -> list[int]:
        """The same, asking only whether the right class has the highest score; so ties count as right."""
        y_N1 = self.y_N[:, None]
        return self._updates(lambda s_NC: int((s_NC.amax(1) == s_NC.gather(1, y_N1)[:, 0]).sum()))

    def _updates(self, count: Callable[[torch.Tensor], int]) -> list[int]:
        c_KN = self.v_KD @ self.h_ND.T
        added = zip(c_KN, self.a_KC, strict=True)
        return [count(self.score_NC.zero_())] + [count(self.score_NC.addr_(c_N, a_C)) for c_N, a_C in added]

    def _argmax(self, score_NC: torch.Tensor) -> int:
        return int((score_NC.argmax(1) == self.y_N).sum())


def time_taken() -> pd.DataFrame:
    """Time ours and rivals; one product (no method can be faster) and the SVD, which all need before."""
    h_ND, w_CD, y_N = inputs(IMAGES, FEATURES)
    own = kernels.directions(w_CD)
    order_K = kernels.importance(own, h_ND).argsort(descending=True)
    rivals = Rivals(h_ND, own, y_N, order_K)
    correct_K1 = kernels.pruning_curve(h_ND, own, y_N, order_K)
    assert correct_K1[-1].item() == round(IMAGES * heads.accuracy(h_ND, w_CD, y_N))
    np.testing.assert_allclose(rivals.product_per_k(SOME_K), correct_K1[SOME_K], rtol=0, atol=CLOSE)
    np.testing.assert_allclose(rivals.update_per_k(), correct_K1, rtol=0, atol=CLOSE)
    np.testing.assert_allclose(rivals.update_without_argmax()[1:], correct_K1[1:], rtol=0, atol=CLOSE)
    methods = {
        "featurelens": lambda: kernels.pruning_curve(h_ND, own, y_N, order_K),
        "product per k, from every 8th k": lambda: rivals.product_per_k(SOME_K),
        "rank-1 update and argmax per k": rivals.update_per_k,
        "rank-1 update per k, no argmax": rivals.update_without_argmax,
        "one product (floor)": lambda: h_ND @ w_CD.T,
        "SVD of the head (comes before)": lambda: kernels.directions(w_CD),
    }
    parts = [1, len(SOME_K) / (FEATURES + 1), 1, 1, 1, 1]
    return harness.compare("pruning", f"{IMAGES} x {FEATURES} x {CLASSES}", methods, parts)


def peak() -> int:
    """Return the most memory this process has held so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def memory_taken(n_images: int, n_directions: int) -> dict[str, str | float]:
    """Return size of the inputs (features and directions), and peak memory as a multiple of it.

    For a fresh process. Ballast fills it up to its former peak, so that all that the call adds is seen.
    """
    torch.set_num_threads(1)
    random = torch.Generator().manual_seed(0)
    shapes = (CLASSES, n_directions), (n_directions,), (FEATURES, n_directions)
    own = Directions(*(torch.randn(shape, generator=random).double() for shape in shapes))
    h_ND, y_N = torch.randn(n_images, FEATURES, generator=random), torch.arange(n_images) % CLASSES
    one = Directions(own.u_CK[:, :1], own.s_K[:1], own.v_DK[:, :1])
    kernels.pruning_curve(h_ND[:1], one, y_N[:1], torch.arange(1))  # loads the compiled loops
    before, ballast = peak(), []
    while peak() == before:
        ballast.append(np.ones(2**15))
    before = peak()
    kernels.pruning_curve(h_ND, own, y_N, torch.arange(n_directions))
    held = sum(part.numel() * part.element_size() for part in (h_ND, *own))
    size = f"{n_images} x {FEATURES} x {CLASSES}, k to {n_directions}"
    ratio = round(1 + (peak() - before) / held, 2)
    return {"size": size, "method": "featurelens", "inputs_mb": round(held / 1e6, 1), "peak_to_inputs": ratio}


def memory_table() -> pd.DataFrame:
    """Return :func:`memory_taken` for some sizes, each in a process of its own."""
    rows = []
    for n_images, n_directions in MEMORY_SIZES:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
            rows.append(fresh.submit(memory_taken, n_images, n_directions).result())
    return pd.DataFrame(rows).assign(benchmark="pruning, memory")


def gpu_table() -> pd.DataFrame:
    """Time 50,000 images x 1,024 features on a GPU against one product in float32, without TF32."""
    assert torch.get_float32_matmul_precision() == "highest"
    h_ND, w_CD, y_N = inputs(MANY_IMAGES, MANY_FEATURES)
    own = kernels.directions(w_CD)
    order_K = kernels.importance(own, h_ND).argsort(descending=True)
    h_ND, w_CD = h_ND.cuda(), w_CD.cuda()
    methods = {
        "featurelens": lambda: kernels.pruning_curve(h_ND, own, y_N, order_K),
        "one product": lambda: h_ND @ w_CD.T,
    }
    rows = []
    for method, call in methods.items():
        call()
        seconds = statistics.median(gpu_seconds(call) for _ in range(harness.REPEATS))
        rows.append({"method": method, "gpu_s": round(seconds, 5)})
    size = f"{MANY_IMAGES} x {MANY_FEATURES} x {CLASSES}"
    table = pd.DataFrame(rows).assign(benchmark="pruning, GPU", size=size)
    return table.assign(times_ours=(table["gpu_s"] / table["gpu_s"][0]).round(4))


def gpu_seconds(call: Callable[[], object]) -> float:
    """Return the time between two events on the GPU."""
    start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    call()
    stop.record()
    torch.cuda.synchronize()
    return start.elapsed_time(stop) / 1000


def run() -> pd.DataFrame:
    """Time taken and memory held, and time on a GPU where there is one."""
    tables = [time_taken(), memory_table(), *([gpu_table()] if torch.cuda.is_available() else [])]
    return pd.concat(tables, ignore_index=True)


if __name__ == "__main__":
    harness.publish(run())
