"""Neural models: trained by JAX (the extra ``wherry[neural]``), answered by NumPy alone."""

from wherry.learn.neural.network import GRU4Rec, Network, SASRec
from wherry.learn.neural.training import is_jax_here

__all__ = ["GRU4Rec", "Network", "SASRec", "is_jax_here"]
