"""Learn: sessions in, candidates out, each measured on days it has not seen."""
