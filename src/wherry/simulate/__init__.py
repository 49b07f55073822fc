"""A simulator of shops: click streams with the shape of a real one, from latent tastes."""

from wherry.simulate.params import ShopShape
from wherry.simulate.shape import COVEO_2021, measure
from wherry.simulate.shop import Simulated, simulate

__all__ = ["COVEO_2021", "ShopShape", "Simulated", "measure", "simulate"]
