"""Time a step of score matching with TorchEBM's own loss and Adam, in PyTorch without compiling.

    pip install torch==2.13.0 torchebm==0.8.9
    python torchebm_step.py --network network.npz --method exact

With `--method exact` the loss of `torchebm.losses.ScoreMatching` has the factors and constants of
`protocol`.

`approx` has not. Along one random direction n of standard deviation ε = 1e-5 it takes
t = n·(∇E(x + n) − ∇E(x)) / (ε²d), an estimate of ΔE / d, for the loss ½‖∇E‖² − t, where score
matching has ½‖∇E‖² − ΔE. So the weight of the Laplacian is d times too small for score matching;
`loss_per_example_sum` is ½‖∇E‖² − d·t with the same t, and random.
"""

from importlib.metadata import version

import numpy as np
import protocol
import torch
from torch.nn import functional
from torchebm.core import BaseModel
from torchebm.losses import ScoreMatching

METHODS = ("exact", "approx")


class Energy(BaseModel):
    """E(x) = ½‖x‖² − ½‖f(x)‖² with the network of `protocol`."""

    def __init__(self, layers: list[dict[str, np.ndarray]], shape: tuple[int, ...]):
        super().__init__()
        self.shape = shape
        self.kernels = torch.nn.ParameterList(_parameter(layer["kernel"].T) for layer in layers)
        self.biases = torch.nn.ParameterList(_parameter(layer["bias"]) for layer in layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The energies of a batch, flat or not: the exact loss passes flat examples."""
        half_square = 0.5 * x.flatten(1).square().sum(1)
        x = x.reshape(len(x), *self.shape)
        if x.ndim == 4:
            x = x.permute(0, 3, 2, 1)  # as the transposed kernels: channels, width, height
        for kernel, bias in zip(self.kernels, self.biases, strict=True):
            if kernel.ndim == 4:
                x = functional.conv2d(x, kernel, bias, padding="same")
            else:
                # dense layers follow Keras's order of the values: height, width, channels
                x = functional.linear(
                    x.permute(0, *range(x.ndim - 1, 0, -1)).flatten(1), kernel, bias
                )
            x = functional.relu(x)
        return half_square - 0.5 * x.flatten(1).square().sum(1)


def _parameter(array: np.ndarray) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.from_numpy(np.ascontiguousarray(array)))


def main() -> None:
    """Build the step, time it and print the answer."""
    parser = protocol.parser(__doc__.splitlines()[0], METHODS)
    args = parser.parse_args()
    protocol.limit_threads(args.threads)
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    array, layers = protocol.load(args.network, args.batch_size)
    x = torch.from_numpy(array)
    energy = Energy(layers, array.shape[1:])
    objective = ScoreMatching(energy, hessian_method=args.method)
    optimizer = torch.optim.Adam(energy.parameters(), protocol.LEARNING_RATE)

    def step() -> float:
        optimizer.zero_grad()
        loss = objective(x)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    half_square = 0.5 * float(energy.gradient(x).square().sum()) / len(x)
    values = x[0].numel()

    def exact_from_approximate(loss: float) -> float:
        return half_square - (half_square - loss) * values

    convert = exact_from_approximate if args.method == "approx" else float
    protocol.run(step, args, len(x), convert, library=f"torchebm {version('torchebm')}")


if __name__ == "__main__":
    main()
