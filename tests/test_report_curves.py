import re

from wherry.domain import Epoch
from wherry.report.curves import BOTTOM, TOP, Curve, plot_curves


def curve(name, *losses):
    return Curve(name, tuple(Epoch(n, loss, 10.0 * n) for n, loss in enumerate(losses, start=1)))


def test_a_falling_loss_falls_on_the_page_and_stays_within_the_axes():
    svg = str(plot_curves([curve("gru4rec", 9.0, 6.5, 5.8, 5.5)]))
    at = [float(y) for y in re.findall(r'cy="([\d.]+)"', svg)]
    assert at == sorted(at)
    assert at[0] >= TOP
    assert at[-1] <= BOTTOM


def test_each_line_is_named_with_what_it_took():
    svg = str(plot_curves([curve("gru4rec", 9.0, 6.5), curve("sasrec", 9.1, 7.0, 6.4)]))
    told = re.sub(r"</?tspan[^>]*>", "", svg)
    assert "gru4rec · 20.0 s" in told
    assert "sasrec · 30.0 s" in told
    assert svg.count("<line") >= 3


def test_one_epoch_is_a_dot():
    svg = str(plot_curves([curve("gru4rec", 9.0)]))
    assert svg.count("<circle") == 1


def test_names_of_lines_that_end_alike_stand_apart():
    svg = str(plot_curves([curve(name, 9.0, 6.5) for name in "ab"]))
    first, second = (float(y) for y in re.findall(r'y="([\d.]+)" class="name"', svg))
    assert abs(first - second) >= 13
