"""What a visitor does on the page again and again, for the tests in a browser."""

CAT, OTHER, REFUSED = ".verdict.cat", ".verdict.other", ".verdict.wrong"
SCHEMES = ("light", "dark")
ENDED = """() => document.getAnimations().every(
    each => each.playState !== "running" || each.effect.getTiming().iterations === Infinity)"""
"""Whether all that fades or moves has come to its end, but for what never ends."""


def settled(page):
    """Wait until what has just changed on a page has its last colours and place."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.wait_for_function(ENDED)


def switch(page, scheme):
    """Have the visitor's system ask for light or dark colours from now on."""
    page.emulate_media(color_scheme=scheme)
    page.wait_for_function("dark => document.body.classList.contains('dark') === dark", arg=scheme == "dark")
    settled(page)


def ended(page, part):
    """Wait until what has begun to change a part of the page is at its end.

    Gradio gives an answer to its components one after the other, in no order that a test may count on, and
    takes its mark off them after the last one. Until then it ignores the button that was pressed.
    """
    page.locator(f"{part} [data-testid=status-tracker].hide:not(.translucent)").wait_for(state="attached")


def answered(page, verdict):
    """Wait for a new verdict of the server, for all that comes with it, and for the search that follows."""
    page.locator(f"#answer {verdict}").wait_for()
    ended(page, "#answer")


def show(page, path):
    """Upload a photo, in place of the one on the page if there is one."""
    remove = page.get_by_label("Remove Image")
    if remove.count():
        remove.click()
    page.set_input_files("#photo input[type=file]", path)


def example(page, name):
    page.get_by_role("button", name=name, exact=True).click()
