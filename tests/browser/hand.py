"""Point, drag, turn the wheel and pinch on a film. All places are canvas pixels."""

import re

from playwright.sync_api import CDPSession, Locator

from tests.browser.reader import Reader

Place = tuple[float, float]


class Hand:
    """The reader's mouse or fingers on the canvas of a panel."""

    def __init__(self, reader: Reader, panel: str = "mapped") -> None:
        self.page = reader.page
        self.canvas: Locator = reader.canvas(panel)

    def middle(self) -> Place:
        """Return the canvas' middle."""
        width, height = self.canvas.evaluate("({ width, height }) => [width, height]")
        return width // 2, height // 2

    def points(self, place: Place) -> tuple[int, int, float] | None:
        """Point at a canvas pixel; return column, row and value that the page says, if any."""
        self.page.mouse.move(*self.on_screen(place))
        return self.pointed()

    def pointed(self) -> tuple[int, int, float] | None:
        """Return what the page says of the pixel under the pointer."""
        words = self.page.locator("#pointer-words").inner_text()
        found = re.fullmatch(r"x (\d+), y (\d+): (\S+)", words)
        return found and (int(found[1]), int(found[2]), float(found[3]))

    def drags(self, start: Place, way: Place, *, button: str = "left") -> None:
        """Press at a place, move in a few steps, and let go."""
        end = (start[0] + way[0], start[1] + way[1])
        self.page.mouse.move(*self.on_screen(start))
        self.page.mouse.down(button=button)
        self.page.mouse.move(*self.on_screen(end), steps=4)
        self.page.mouse.up(button=button)

    def wheels(self, place: Place, towards: float) -> None:
        """Turn the wheel at a place; pixels of scrolling towards the film."""
        self.page.mouse.move(*self.on_screen(place))
        self.page.mouse.wheel(0, -towards)

    def pinches(self, before: tuple[Place, Place], after: tuple[Place, Place]) -> None:
        """Put two fingers down, move them in a few steps, and lift them."""
        session = self.page.context.new_cdp_session(self.page)
        self._touches(session, "touchStart", before[:1])
        self._touches(session, "touchStart", before)
        for share in (0.25, 0.5, 0.75, 1):
            fingers = [
                (x + share * (to_x - x), y + share * (to_y - y))
                for (x, y), (to_x, to_y) in zip(before, after, strict=True)
            ]
            self._touches(session, "touchMove", fingers)
        self._touches(session, "touchEnd", [])

    def _touches(self, session: CDPSession, kind: str, fingers: list[Place]) -> None:
        places = [self.on_screen(finger) for finger in fingers]
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def on_screen(self, place: Place) -> Place:
        """Return the middle of a canvas pixel in CSS pixels of the window."""
        box = self.canvas.bounding_box()
        assert box is not None
        ratio = self.page.evaluate("() => devicePixelRatio")
        return box["x"] + (place[0] + 0.5) / ratio, box["y"] + (place[1] + 0.5) / ratio
