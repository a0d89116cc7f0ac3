"""The Explorer to tired eyes: every word in JupyterLab's light and dark theme has a contrast of 4.5 to 1 at least."""

import pytest

pytestmark = pytest.mark.browser

MAP = """
import numpy as np
from labkit.explore import explore
rng = np.random.default_rng(0)
y = np.arange(300) % 3
e = explore((rng.normal(size=(300, 4)) + 4 * y[:, None]).astype('float32'), y, class_names=['ape', 'bee', 'cat']).wait()
e"""
FAINT = """root => {
    const pen = Object.assign(document.createElement('canvas'), {width: 1, height: 1}).getContext('2d');
    const shade = (colours, opacity = 1) => {
        pen.globalAlpha = 1;
        colours.forEach((colour, k) => {
            if (k === colours.length - 1) pen.globalAlpha = opacity;
            pen.fillStyle = colour;
            pen.fillRect(0, 0, 1, 1) });
        const part = [...pen.getImageData(0, 0, 1, 1).data].map(v => v / 255);
        const [r, g, b] = part.map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b };
    const words = one => [...one.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    const said = [...root.querySelectorAll('*')].filter(one => one.checkVisibility()
        && !one.closest('option, svg, .lk-status') && (one.tagName === 'SELECT' || words(one)));
    return said.map(one => {
        const chain = [];
        for (let node = one; node; node = node.parentElement) chain.unshift(node);
        const under = ['white', ...chain.map(node => getComputedStyle(node).backgroundColor)];
        const opacity = chain.reduce((all, node) => all * getComputedStyle(node).opacity, 1);
        const word = shade([...under, getComputedStyle(one).color], opacity);
        const [low, high] = [shade(under), word].sort((p, q) => p - q);
        return [one.className || one.tagName, one.textContent.slice(0, 20), (high + 0.05) / (low + 0.05)]
    }).filter(([, , contrast]) => contrast < 4.5) }"""


def test_every_word_can_be_read_in_both_themes(lab):
    lab.open([MAP])
    lab.run(0)
    lab.drawn()
    lab.python("e.select(np.arange(100)); e.focus(10); e._hidden = [1]; 1")
    lab.page.wait_for_selector(".lk-verdict")
    lab.page.wait_for_selector(".lk-off")
    lab.page.locator(".lk-help summary").click()
    lab.page.locator(".lk-axes select").first.evaluate("one => { one.disabled = true }")  # as on a page alone
    change = "async theme => { await window.jupyterapp.commands.execute('apputils:change-theme', {theme}) }"
    for theme, paper in (("JupyterLab Dark", 17), ("JupyterLab Light", 255)):
        lab.page.evaluate(change, theme)
        lab.expect("(e, paper) => e.theme.paper === `rgb(${[paper, paper, paper]})`", paper, seconds=60)
        lab.page.locator(".lk-near").first.hover()
        lab.page.wait_for_timeout(300)
        assert lab.page.locator(".lk-explorer").last.evaluate(FAINT) == [], theme
    assert lab.errors == []
