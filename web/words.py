"""What the page says, in words and in the little HTML around them. How it looks is in page.css."""

import html

from cat_model import Verdict
from cat_model.predict import CAT, NOT_A_CAT

TITLE = "Are you a cat?"
WELCOME = f"# {TITLE}\nShow me a photo. I will tell you whether there is a cat in it."
PRIVACY = (
    "Your photo is only looked at, then deleted within minutes. Nothing is kept unless you press a button "
    "under the answer; your photo, or numbers made from it, are kept only if you tick a box."
)
KEEP = "Keep my photo to improve the model"
NUMBERS = "Keep numbers that describe my photo (not the photo)"
COMMENT, COMMENT_HINT = "A word of comment (no names, please)", "optional"
UNDO, DELETE = "Undo", "Delete my feedback"
ABOUT, CODE = "What is kept, why, how long, and how to delete it", "Receipt code"
RIGHT, WRONG = "Right", "Wrong"
WRONG_CAT, WRONG_OTHER = "Wrong — it's a cat", "Wrong — not a cat"
IT_IS, IT_IS_NOT = "It is a cat", "It is not a cat"

THANKS = "Thank you! Your answer is kept, your photo is not."
THANKS_WITH_NUMBERS = "Thank you! Your answer and the numbers are kept, your photo is not."
THANKS_WITH_PHOTO = "Thank you! Your answer and your photo are kept."
THANKS_PHOTO_GONE = "Thank you! Your answer is kept; your photo is not, for it was already deleted here."
UNTIL_RESTART = "On this page feedback lives only until it restarts."
DELETED = "Your feedback is deleted."
DELETION_NOTED = (
    "Your deletion is noted. If the code is right, your feedback is deleted as soon as its store answers."
)
FORGOTTEN = "This answer is no longer known here. Please show the photo again."
PRESS_AGAIN = "Please press again."
NO_PHOTO = "Please send a photo."
NO_ANSWER = f'Please say what the photo shows: it_is must be "{CAT}" or "{NOT_A_CAT}".'


def panel(kind: str, headline: str, detail: str = "") -> str:
    """Return the HTML of the verdict panel; `kind` chooses its colour and icon in page.css."""
    return (
        f'<div class="verdict {kind}"><div><p class="headline">{html.escape(headline)}</p>'
        f"<p>{html.escape(detail)}</p></div></div>"
    )


IDLE = panel("idle", "Your answer appears here")
LOOKING = panel("idle", "Looking …")
BEFORE = {"one": "1 visitor is before you.", "many": "N visitors are before you."}
LOST = "The connection broke, or many visitors are waiting. Try again."
BUSY = panel("wrong", "I could not look at it", LOST)
NOT_REACHED = "I cannot be reached just now, so your photo was not sent. Please try again in a moment."
TOO_MANY = "I am still busy with what you asked before. Please wait for those answers first."
NO_PLACE = "I have no place for your photo just now: my disk is full or broken. Please try again later."
TOO_BIG = "That is more than this page takes at once. Please send a smaller photo."


def busy(before: int) -> str:
    """Return why a photo was not looked at, now that so many would come before it."""
    if not before:
        return "The connection broke for a moment. Try again."
    visitors = BEFORE["one"] if before == 1 else BEFORE["many"].replace("N", str(before))
    return f"I am busy: {visitors} Try again in a moment."


def too_fast(seconds: float) -> str:
    """Return what a visitor is told who asks faster than others can."""
    unit = "second" if seconds <= 1 else "seconds"
    return f"You are quicker than I am, and others wait too. Please go on in {max(1, round(seconds))} {unit}."


def refused(reason: str) -> str:
    """Return the panel for a photo that cannot be used."""
    return panel("wrong", "I can't look at this one", reason)


def verdict_panel(verdict: Verdict) -> str:
    """Return the panel for a verdict, with the percentage of the label it says."""
    if verdict.unsure:
        return panel("unsure", "Not sure", "It may be a cat, it may be something else.")
    kind, words = ("cat", "It's a cat") if verdict.is_cat else ("other", "Not a cat")
    return panel(kind, f"{words} — {100 * shares(verdict)[verdict.label]:.0f}\u00a0%")


def shares(verdict: Verdict) -> dict[str, float]:
    """Return both probabilities as the page shows them: from 1 to 99 %, for it is never quite certain."""
    cat = min(max(round(verdict.probability, 2), 0.01), 0.99)
    return {CAT: cat, NOT_A_CAT: round(1 - cat, 2)}


def note(words: str = "", failed: bool = False) -> str:
    """Return the line under the flag buttons."""
    return f'<p class="{"failed" if failed else "thanks"}">{html.escape(words)}</p>'


def thanks(said: str, code: str, lasts: bool) -> str:
    """Return the line under the flag buttons for feedback that was kept, with its receipt code."""
    more = "" if lasts else f" {UNTIL_RESTART}"
    return (
        f'<p class="thanks">{html.escape(said + more)} Your receipt code, to delete it later: '
        f"<code>{html.escape(code)}</code></p>"
    )


def about(days: int, destination: str | None, lasts: bool) -> str:
    """Return the privacy text in Markdown.

    Args:
        days: after which feedback is deleted.
        destination: names of the stores that it is delivered to, None where it stays with the page.
        lasts: whether it survives a restart of the page.
    """
    where = f"It goes to the {destination}." if destination else "It stays on the machine of this page."
    if not lasts:
        where = UNTIL_RESTART
    return f"""**What.** When you press a button: what the model said, what you say, your comment, the hour,
the model's version. With *"{NUMBERS}"* also about a thousand numbers that the model makes of your photo: it
learns from them; they do not show the photo, but tell roughly what is in it. With *"{KEEP}"* also those
numbers and the photo, made anew from its pixels, at most 640 pixels a side, without place, time or camera.
Never your name, address, browser or file name. Of photos that nobody says anything about only anonymous
counts are kept.

**Why.** To find out where the model is wrong, and to train a better one. For nothing else.

**How long.** {days} days at most. {where}

**Delete it.** *"{UNDO}"* right after, or your receipt code here, as long as it is kept: the answer, the
numbers and the photo are deleted."""
