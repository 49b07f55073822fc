"""A simulator of shops: click streams with the shape of a real one, from latent tastes."""

from wherry.simulate.params import ShopShape
from wherry.simulate.protocols import PROTOCOLS
from wherry.simulate.pump import Sending, pump
from wherry.simulate.recorded import Row, read_rows, simulated_rows
from wherry.simulate.shape import COVEO_2021, measure
from wherry.simulate.shop import Simulated, simulate
from wherry.simulate.tally import Pumped

__all__ = [
    "COVEO_2021",
    "PROTOCOLS",
    "Pumped",
    "Row",
    "Sending",
    "ShopShape",
    "Simulated",
    "measure",
    "pump",
    "read_rows",
    "simulate",
    "simulated_rows",
]
