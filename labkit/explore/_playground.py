"""Playgrounds: sliders over a computation that answers at once, drawn by plotly, with a matplotlib twin.

A playground is a function from the sliders' values to panels. The function is plain Python: a reader can leave the
sliders and call it.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Real
from typing import Any

import ipywidgets
import torch

from labkit._arguments import checked
from labkit._checks import require_between, require_known, require_positive
from labkit.explore import _panels_live, _panels_still
from labkit.explore._panels import Panel
from labkit.explore._twin import png

_PATIENCE = 4.0  # seconds that a page has to say that it drew a change


@checked
@dataclass(frozen=True)
class Slider:
    """A number to drag.

    Attributes:
        label: beside the slider, with its unit.
        value: at the start.
        low, high, step: what can be chosen.

    Raises:
        ValueError: a value outside of low to high, a step that is not positive.
    """

    label: str
    value: float
    low: float
    high: float
    step: float

    def __post_init__(self):
        require_between("value", self.value, self.low, self.high)
        require_positive("step", self.step)

    def widget(self) -> Any:
        style = {"description_width": "initial"}
        whole = all(isinstance(v, int) for v in (self.value, self.low, self.high, self.step))
        kind = ipywidgets.IntSlider if whole else ipywidgets.FloatSlider
        digits = max(len(f"{number:.6g}".partition(".")[2]) for number in (self.step, self.value))
        layout = ipywidgets.Layout(width=f"{220 + 7 * len(self.label)}px")  # as long a track for every label
        return kind(value=self.value, min=self.low, max=self.high, step=self.step, description=self.label, style=style,
                    layout=layout, continuous_update=True,
                    readout_format="d" if whole else f".{digits}f")  # fmt: skip


class Playground(ipywidgets.VBox):
    """Sliders above panels. ``values``, ``panels`` and ``set(...)`` give everything to Python.

    Args:
        compute: sliders' values by name -> panels, always as many and with as many layers; under 100 ms on the one
            thread that it gets.
        sliders: by the names of ``compute``'s arguments.
        title: above the panels of the static twin, and the start of its alt text.
    """

    _late: asyncio.TimerHandle | None = None  # looks whether the page answered

    def __init__(self, compute: Callable[..., Sequence[Panel]], sliders: dict[str, Slider], title: str):
        self._compute, self._title = compute, title
        self.sliders = {name: slider.widget() for name, slider in sliders.items()}
        self.panels = self._computed()
        for widget in self.sliders.values():
            widget.observe(self._on_change, "value")
        row = ipywidgets.HBox(list(self.sliders.values()), layout=ipywidgets.Layout(flex_flow="row wrap"))
        self.figure = _panels_live.figure(self.panels)
        self._warning = ipywidgets.Label()
        self._warn("")
        super().__init__([row, self._warning, self.figure])

    @property
    def values(self) -> dict[str, float]:
        """Where the sliders stand."""
        return {name: widget.value for name, widget in self.sliders.items()}

    def set(self, **values: float) -> "Playground":
        """Move sliders from Python: ``lab.set(alpha=0.1)``; the picture is drawn once, after all of them."""
        for name in values:
            require_known("slider", name, self.sliders)
        for name, value in values.items():
            widget = self.sliders[name]
            if not isinstance(value, Real):
                raise TypeError(f"{name} must be a number, not {type(value).__name__}")
            if not widget.min <= value <= widget.max:
                raise ValueError(f"{name} must lie between {widget.min:g} and {widget.max:g}, not {value}")
            if isinstance(widget, ipywidgets.IntSlider) and value != int(value):
                raise ValueError(f"{name} must be a whole number, not {value}")
        before = self.values
        self._move(values)
        try:
            panels = self._computed()
        except BaseException:
            self._move(before)  # sliders and pictures stay together
            raise
        if self.figure._view_count:
            self._show(panels)
        else:  # a figure that changes before the browser has drawn it, a picture's pixels above all, stays blank there
            self.panels = panels
            self._warn("")
            self._draw_anew()
        return self

    def _move(self, values: dict[str, float]) -> None:
        self._quiet = True
        try:
            for name, value in values.items():
                self.sliders[name].value = value
        finally:
            self._quiet = False

    _quiet = False

    def _on_change(self, _: Any) -> None:
        if self._quiet:
            return
        try:
            panels = self._computed()
        except Exception as error:  # nobody sees what is raised while a slider is dragged
            said = f"{type(error).__name__}: {error}"
            self._warn(f"Nothing could be computed here, and the picture is an earlier one. {said}")
            raise
        self._show(panels)

    def _warn(self, text: str) -> None:
        """Hidden where there is nothing to say: a child that comes and goes would have the figure drawn anew."""
        self._warning.value, self._warning.layout.display = text, None if text else "none"

    def _show(self, panels: list[Panel]) -> None:
        self._warn("")
        self.panels = panels
        with self.figure.batch_update():
            _panels_live.fill(self.figure, self.panels)
        if self._late:
            self._late.cancel()
        if self.figure._view_count:
            self._late = asyncio.get_event_loop().call_later(_PATIENCE, self._draw_what_was_not_heard, 1.0)

    def _draw_what_was_not_heard(self, wait: float = 0.0) -> None:
        """anywidget gives a page 2 seconds to load plotly; one that needs longer draws it, and hears no change ever."""
        if self.figure._trace_edit_in_process and wait:  # the page's answer may wait behind a long cell: once more
            self._late = asyncio.get_event_loop().call_later(wait, self._draw_what_was_not_heard)
        elif self.figure._trace_edit_in_process:  # the page has not answered
            self._draw_anew()

    def _draw_anew(self) -> None:
        old, self.figure = self.figure, _panels_live.figure(self.panels)
        self.children = [*self.children[:-1], self.figure]
        old.close()

    def _computed(self) -> list[Panel]:
        with _one_thread():
            return list(self._compute(**self.values))

    def twin(self) -> Any:
        """The panels as a matplotlib figure: what a reader without a kernel sees."""
        at = "   ".join(f"{widget.description} = {self.values[name]:g}" for name, widget in self.sliders.items())
        return _panels_still.twin(self.panels, f"{self._title}   ({at})")

    @property
    def alt_text(self) -> str:
        """The picture in words."""
        at = ", ".join(f"{widget.description} {self.values[name]:g}" for name, widget in self.sliders.items())
        said = ". ".join(f"{panel.title}: {panel.says}" for panel in self.panels if panel.says)
        return f"{self._title}, at {at}. {said}"

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        data = {**data, "text/plain": self.alt_text, "image/png": png(self.twin())}
        return data, {**metadata, "image/png": {"alt": self.alt_text}}


@contextmanager
def _one_thread() -> Iterator[None]:
    """BLAS, OpenMP and torch on one thread, and then as they were.

    Matrices this small gain nothing from a second thread, and lose much where another program has that core: the
    eigenvectors of 400 × 400 then take 63 ms instead of 21, and 164 at worst.
    """
    from threadpoolctl import threadpool_limits

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        torch.set_num_threads(threads)
