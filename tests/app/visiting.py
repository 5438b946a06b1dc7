"""What a visitor does on the page again and again, for the tests in a browser."""

CAT, OTHER, REFUSED = ".verdict.cat", ".verdict.other", ".verdict.wrong"


def show(page, path):
    """Upload a photo, in place of the one on the page if there is one."""
    remove = page.get_by_label("Remove Image")
    if remove.count():
        remove.click()
    page.set_input_files("#photo input[type=file]", path)


def example(page, name):
    page.get_by_role("button", name=name, exact=True).click()
