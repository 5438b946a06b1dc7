"""What the page says, in words and in the little HTML around them. How it looks is in page.css."""

import html
import json
from collections.abc import Iterable

from cat_model import Verdict
from cat_model.verdict import CAT, NOT_A_CAT

TITLE = "Are you a cat?"
THOROUGH = "Search thoroughly (finds tiny cats, takes a moment longer)"
CLOSER, STOP, SAVE = "Look closer", "Stop", "Save picture"
WHY, STRENGTH = "Why?", "Strength"
LOOKING_CLOSER, GETTING_READY = "Looking closer …", "Getting ready …"
CLOSER_BROKE = "The connection broke. The colours are those of the first look."
STOPPED = "Stopped. The colours are those of the first look."
ZOOMED = "I looked closer here"
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
MAY_STAY = (
    "But a copy may stay in the store that it was sent to, until the owner of this page removes it there."
)
DELETION_NOTED = (
    "Your deletion is noted. If the code is right, your feedback is deleted as soon as its store answers."
)
FORGOTTEN = "This answer is no longer known here. Please show the photo again."
PRESS_AGAIN = "Please press again."
PRESS_LATER = "I cannot be reached just now. Please press again in a moment."
NO_PHOTO = "Please send a photo."
NOT_ITS_ADDRESS = "Please upload the photo itself, not its address."
UPLOAD_FIRST = "Please upload the photo first."
NOT_BASE64 = "This data: address is not valid base64."
HOW_TO_SEND = (
    'Please send the photo as {"path": …}, with what /gradio_api/upload answered, or as {"url": "data:…"}, '
    "in base64."
)
NO_ANSWER = f'Please say what the photo shows: it_is must be "{CAT}" or "{NOT_A_CAT}".'


def too_few(names: list[str], given: int) -> str:
    """Return what a program is told that sends fewer values than an endpoint takes."""
    values = "1 value" if len(names) == 1 else f"{len(names)} values"
    return f"Please send {values} ({', '.join(names)}); these were {given}."


def panel(kind: str, headline: str, detail: str = "") -> str:
    """Return the HTML of the verdict panel; `kind` chooses its colour and icon in page.css."""
    return (
        f'<div class="verdict {kind}"><div><p class="headline">{html.escape(headline)}</p>'
        f"<p>{html.escape(detail)}</p></div></div>"
    )


IDLE = panel("idle", "Your answer appears here")
LOOKING = panel("idle", "Looking …")
BEFORE = {"one": "1 visitor is before you.", "many": "N visitors are before you."}
COULD_NOT, TRY_AGAIN = "I could not look at it", "Try again"
KEPT = "Your photo is still here"
BROKE = "The connection broke while I looked at your photo. It is still here."
STILL_NOT_REACHED = "I still cannot be reached. Your photo is here; please try again in a moment."
NOT_KEPT = "I was started anew, and your photo was too large to be kept here. Please choose it again."
FILE_TOO_BIG = "This file has SIZE MB. I take up to MOST MB."
CAMERA = {
    "insecure": "Browsers give the camera only to https pages and to this computer itself.",
    "denied": "Your browser does not let me use the camera. You can allow it beside the page's address.",
    "none": "I find no camera here.",
    "used": "The camera cannot be used. Does another program use it?",
    "other": "The camera could not be opened.",
}
PASTE = {
    "insecure": "Browsers let only https pages read what you copied. Press Ctrl+V (or ⌘V) to paste.",
    "denied": "Your browser does not let me read what you copied. Press Ctrl+V (or ⌘V) to paste.",
    "none": "What you copied holds no picture.",
}
START = "Start"
OPEN_CAMERA, FRAMES = "Open the camera, and I start", "Frames are looked at and forgotten."
NOT_REACHED = "I cannot be reached just now, so your photo was not sent. Please try again in a moment."
TOO_MANY = "I am still busy with what you asked before. Please wait for those answers first."
NO_PLACE = "I have no place for your photo just now: my disk is full or broken. Please try again later."
ENDS = "I am about to end. Please try again in a moment."
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
    return panel("wrong", CANNOT_LOOK, reason)


def verdict_panel(verdict: Verdict) -> str:
    """Return the panel for a verdict, with the percentage of the label it says."""
    return panel(*verdict_words(verdict))


def verdict_words(verdict: Verdict) -> tuple[str, str, str]:
    """Return the kind of a verdict's panel ("cat", "other" or "unsure"), its headline and its detail."""
    if verdict.unsure:
        words = f"It may be a cat, it may be something else. {looked_at(verdict.frame)}".strip()
        return "unsure", "Not sure", words
    kind, words = ("cat", "It's a cat") if verdict.is_cat else ("other", "Not a cat")
    headline = f"{words} — {100 * shares(verdict)[verdict.label]:.0f}\u00a0%"
    return kind, headline, looked_at(verdict.frame)


def looked_at(frame: int) -> str:
    """Return which picture of an animation the answer is about; nothing for the first."""
    return f"The animation begins blank, so I looked at picture {frame + 1}." if frame else ""


def shares(verdict: Verdict) -> dict[str, float]:
    """Return both probabilities as the page shows them: from 1 to 99 %, for it is never quite certain."""
    cat = min(max(round(verdict.probability, 2), 0.01), 0.99)
    return {CAT: cat, NOT_A_CAT: round(1 - cat, 2)}


def note(words: str = "", failed: bool = False) -> str:
    """Return the line under the feedback buttons."""
    return f'<p class="{"failed" if failed else "thanks"}">{html.escape(words)}</p>'


def thanks(said: str, code: str, lasts: bool) -> str:
    """Return the line under the buttons for feedback that was kept, with its receipt code."""
    more = "" if lasts else f" {UNTIL_RESTART}"
    return (
        f'<p class="thanks">{html.escape(said + more)} Your receipt code, to delete it later: '
        f"<code>{html.escape(code)}</code></p>"
    )


def about(days: int, destination: str | None, lasts: bool, deletes: bool = True) -> str:
    """Return the privacy text in Markdown.

    Args:
        days: after which feedback is deleted.
        destination: names of the stores that it is delivered to, None where it stays with the page.
        lasts: whether it survives a restart of the page.
        deletes: whether the stores are known to keep nothing of what is deleted.
    """
    but = "" if deletes else f" {MAY_STAY}"
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

**How long.** {days} days{" at most" if deletes else "; then it is deleted"}. {where}

**Delete it.** *"{UNDO}"* right after, or your receipt code here, as long as it is kept: the answer, the
numbers and the photo are deleted.{but}"""


def as_json(value: object) -> str:
    """Return a value as JavaScript reads it, safe inside a page."""
    return json.dumps(value).replace("</", "<\\/")


# The tab for several photos.
CANNOT_LOOK = "I can't look at this one"
SEVERAL = "Several photos"
CHOOSE, SHOW = "Choose photos, or drop them here", "Show"
ALL, CATS, NOT_SURE, OTHERS = "All", "Cats", "Not sure", "Others"
SAVE_LIST, SAVE_CATS, CLEAR = "Save the list (CSV)", "Save the cats (zip)", "Clear"
GALLERY = {
    "looking": "I have looked at DONE of ALL …",
    "done": {"one": "I have looked at your photo.", "many": "I have looked at all N photos."},
    "leftOut": {"one": "1 more was left out.", "many": "N more were left out."},
    "waits": "…",
    "refused": CANNOT_LOOK,
    "unreadable": "This cannot be read. Is it a folder, or was it moved?",
    "notReached": NOT_REACHED,
    "tooBig": TOO_BIG,
    "packing": "Packing …",
    "packed": "The zip with your cats is saved.",
    "zipTooBig": "Your cats are more than 4 GB together: too much for one zip.",
    "notPacked": "A photo can no longer be read, so there is no zip. Was it moved?",
    "columns": ["file", "label", "probability", "note"],
}


def choose_hint(most: int) -> str:
    """Return what stands below the button to choose photos, of which so many are taken at once."""
    return f"Up to {most} at once. The list and the zip are made in your browser: nothing of them is kept."


# The tab that tells how good the model is.
ABOUT_MODEL = "About"
HOW_GOOD, BY_KIND, CORRUPTED = "How good it is", "By kind of photo", "Difficult photos"
THOROUGHLY, CALIBRATION = "With a thorough search", "Does it mean what it says?"
WRONG_ABOUT, QUALITY_CHECK = "What it gets wrong", "Its quality check"
THE_MODEL, MORE = "The model", "Read more"
PHOTOS, CALLED_CATS = "Photos", "Called cats, of photos"
RECALL, PRECISION, UNSURE = "Finds of the cats", "Is right when it says cat", "Says not sure"
SAID, WERE_CATS = "It said", "Were cats"
NOT_MEASURED = "not measured"
INTERVALS = (
    "In brackets: with 95 % confidence the true figure lies in between. Behind them: of how many photos. All "
    "were measured when the model was made, on photos that it did not learn from."
)
THOROUGHLY_MEANS = "The same photos, with every part of each searched: slower, and good for tiny cats."
BY_KIND_MEANS = "Of cats, more is better. Of everything else, less is better: those are its mistakes."
CORRUPTED_MEANS = "Test photos, made worse in one way each."
CALIBRATION_MEANS = (
    "When it says 70 %, about 70 of 100 such photos should be cats: the dots should lie on the dashed line. "
    "Big dots stand for many photos; long lines for figures that few photos make uncertain."
)
PLOT = "How many photos were cats, by the probability that the model gave. The same as numbers: below."
SAID_AXIS, CATS_AXIS = "It said cat with … %", "… % were cats"
AS_NUMBERS = "The same as numbers"
WHY_SHIPPED = "Why it is used all the same"
VERSION, ANSWERS, LEARNED_FROM, BACKBONE, LICENCE = "Version", "Answers", "Learned from", "Network", "Licence"
LICENSED = "Apache-2.0, model and program"
CARD, CARD_ADDRESS = "The model card: every figure, the data, the rules", "model-card"
LINKS = {
    "https://www.apache.org/licenses/LICENSE-2.0": "The licence",
    "https://en.wikipedia.org/wiki/Binomial_proportion_confidence_interval#Wilson_score_interval": (
        "How the intervals are computed (Wilson)"
    ),
    "https://en.wikipedia.org/wiki/Precision_and_recall": "Recall and precision explained",
}
_PHOTOS = {  # what tells visitors most comes first
    "people": "as people send them",
    "wild": "from other sources",
    "test": "like those it learned from",
    "validation": "that its threshold was chosen on",
}
_GROUPS = {  # in the order in which they are shown
    "cat": "Cats",
    "cat_hard": "Tiny, hidden or dark cats",
    "dog": "Dogs",
    "selfie": "People",
    "animal": "Other animals",
    "misc": "Rooms, things, landscapes",
}
_CORRUPTIONS = {
    "zoom-out-2": "Half as large",
    "zoom-out-3": "A third as large",
    "low-light": "Dark",
    "blur": "Blurred",
    "webcam": "From a poor webcam",
    "jpeg-25": "Strongly compressed",
    "filters": "With colour filters",
    "rotation-20": "Tilted",
    "occlusion-30": "Partly covered",
}


def first_photos(name: str) -> int:
    """Return where a set of photos comes among others."""
    return list(_PHOTOS).index(name) if name in _PHOTOS else len(_PHOTOS)


def first_group(name: str) -> int:
    """Return where a group of photos comes among others."""
    return list(_GROUPS).index(name) if name in _GROUPS else len(_GROUPS)


def photos(name: str) -> str:
    """Return what the photos of a set are, in words; its name where it is another one."""
    return _PHOTOS.get(name, name)


def group(name: str) -> str:
    """Return what a group of photos shows, in words; its name where it is another one."""
    return _GROUPS.get(name, name)


def corruption(name: str) -> str:
    """Return how photos were made worse, in words; the name where it is another one."""
    return _CORRUPTIONS.get(name, name)


def how_good(name: str, rates: tuple[tuple[str, str, str], tuple[str, str, str]]) -> str:
    """Return the two most important figures in a sentence each.

    Args:
        name: of the set of photos.
        rates: recall and precision, each with both ends of its interval, out of 100.
    """
    (found, *ends), (right, *others) = rates
    return (
        f"Photos {photos(name)}: of 100 cats it finds {found} ({' to '.join(ends)}). Of 100 photos that it "
        f"calls cats, {right} are cats ({' to '.join(others)})."
    )


def misses(what: str, rate: tuple[str, str, str]) -> str:
    """Return how many cats of a kind are found; the rate is of 100, with its interval."""
    return f"{what}: of 100 cats it finds only {rate[0]} ({rate[1]} to {rate[2]})."


def takes(what: str, rate: tuple[str, str, str]) -> str:
    """Return how many photos of a kind are called cats; the rate is of 100, with its interval."""
    return f"{what}: it takes {rate[0]} of 100 for cats ({rate[1]} to {rate[2]})."


def passed(rules: int) -> str:
    """Return that the model passed its quality check of so many rules."""
    return f"It passed all {rules} rules that a new model must pass."


def not_passed(failed: int, rules: int) -> str:
    """Return that the model did not pass some rules of its quality check."""
    return f"It did not pass {failed} of the {rules} rules that a new model must pass."


def learned_from(photos_learned: int) -> str:
    """Return how many photos the model learned from."""
    return f"{photos_learned:,} photos"


def answers(threshold: str, low: str, high: str) -> str:
    """Return where the answer changes, in percent."""
    return f"“cat” from {threshold} % on, “not sure” from {low} to {high} %"


def missing(titles: list[str]) -> str:
    """Return which parts the model's bundle has no figures for."""
    return f"This model came without figures for: {', '.join(f'“{title}”' for title in titles)}."


# What programs are told.
NO_MODEL = "There is no model {!r} here; it is {!r}."
NO_VERSION = "There is no version {!r} of the model here; it is {!r}."
ONLY_POST = "Please send this with POST, with a photo as the body."
ONLY_GET = "Please ask this with GET."
KEY_NEEDED = "This page answers only programs that send its key: Authorization: Bearer KEY."
LOGIN_NEEDED = "This page asks for its name and password (HTTP Basic authentication)."
TOO_SLOW = "Your photo did not arrive in time. Please try again on a faster line."
ENCODED = "Please send the request as it is, without a Content-Encoding."
NO_FILE = "Please send the photo as a file in this form, such as with curl -F photo=@photo.jpg."
BROKEN_FORM = "This multipart form cannot be read: {}"
JSON_PHOTO = 'Please send JSON such as {"image": "…"}, with the photo in base64.'
KINDS = "Please send a photo (image/jpeg, image/png, application/octet-stream) or application/json, not {}."
NO_ADDRESS = "There is nothing at this address; docs/api.md lists what there is."
BAD_LENGTH = "Inference-Header-Content-Length must be a whole number."


def too_big(megabytes: int) -> str:
    """Return what a program is told whose photo has more than so many megabytes."""
    return f"This photo is too big: photos of up to {megabytes} MB can be looked at here."


def yes_or_no(name: str) -> str:
    """Return what a program is told that gives an option another value than true or false."""
    return f"The option {name} is true or false."


def no_option(name: str, options: Iterable[str]) -> str:
    """Return what a program is told that gives an option that there is not."""
    return f"There is no option {name!r} here; there are {' and '.join(options)}."


def photo_of_several(number: int, said: str) -> str:
    """Return what is wrong with one photo of several, counted from 1."""
    return f"Photo {number}: {said}"
