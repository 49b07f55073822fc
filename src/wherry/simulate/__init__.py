"""A simulator of shops: click streams with the shape of a real one, from latent tastes."""

from wherry.simulate.crowd import Crowd, send_crowd
from wherry.simulate.effect import Effect, measure_effect
from wherry.simulate.params import ShopShape
from wherry.simulate.protocols import PROTOCOLS
from wherry.simulate.pump import Sending, pump
from wherry.simulate.recorded import Row, read_rows, simulated_rows
from wherry.simulate.shape import COVEO_2021, measure
from wherry.simulate.shop import Simulated, open_shop, simulate
from wherry.simulate.shopper import Manner
from wherry.simulate.tally import Pumped
from wherry.simulate.visitors import Visited

__all__ = [
    "COVEO_2021",
    "PROTOCOLS",
    "Crowd",
    "Effect",
    "Manner",
    "Pumped",
    "Row",
    "Sending",
    "ShopShape",
    "Simulated",
    "Visited",
    "measure",
    "measure_effect",
    "open_shop",
    "pump",
    "read_rows",
    "send_crowd",
    "simulate",
    "simulated_rows",
]
