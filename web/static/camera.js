// Camera and clipboard: why they cannot be used is said in their place, the live tab starts by itself, and its
// button says what it does. Called once the page is there, with { words: { start, stop }, camera, paste }.
(options) => {
    const place = () => ["camera", "photo"].map(id => document.getElementById(id)).find(box => box?.offsetParent);
    const tell = said => {
        const box = place();
        let note = box?.querySelector(":scope > .unusable");
        if (!said) return note?.remove();
        if (!note) {
            note = document.createElement("p");
            note.className = "unusable";
            note.setAttribute("role", "alert");
            box?.append(note);
        }
        note.textContent = said;
    };
    const never = new Promise(() => {}); // what Gradio waits for, where there is nothing to wait for

    const why = ({ name }) => options.camera[{
        NotAllowedError: "denied", SecurityError: "denied", NotFoundError: "none", OverconstrainedError: "none",
        NotReadableError: "used", AbortError: "used",
    }[name] ?? "other"];
    const devices = navigator.mediaDevices, open = devices?.getUserMedia?.bind(devices);
    const camera = async wanted => {
        if (open && !place()) return open(wanted); // the camera that is watched on the device says it by itself
        tell("");
        if (!open) {
            tell(options.camera.insecure);
            return never;
        }
        try {
            const stream = await open(wanted);
            if (place()?.id == "camera") start();
            return stream;
        } catch (error) {
            tell(why(error));
            return never;
        }
    };
    if (open) devices.getUserMedia = camera;
    else Object.defineProperty(navigator, "mediaDevices", {
        value: { getUserMedia: camera, enumerateDevices: async () => [] }, configurable: true,
    });
    // The camera was opened to be watched: nothing is gained by a second click.
    const start = (left = 100) => {
        const button = document.querySelector("#camera .capture-button");
        if (button) button.click();
        else if (left) setTimeout(start, 50, left - 1);
    };
    const name = () => {
        const button = document.querySelector("#camera .capture-button");
        const icon = button?.querySelector(".icon"), label = icon?.nextSibling;
        if (!label) return;
        const said = icon.title == "stop recording" ? options.words.stop : icon.title == "spinner" ? "…" : options.words.start;
        if (label.nodeValue.trim() != said) label.nodeValue = ` ${said}`;
        if (button.getAttribute("aria-label") != said) button.setAttribute("aria-label", said);
    };
    new MutationObserver(name).observe(document.body, { subtree: true, childList: true, characterData: true });

    const clipboard = navigator.clipboard, read = clipboard?.read?.bind(clipboard);
    const paste = async () => {
        tell("");
        if (!read) {
            tell(options.paste.insecure);
            return never;
        }
        try {
            const items = await read();
            if (!items.some(item => item.types.some(type => type.startsWith("image/")))) tell(options.paste.none);
            return items;
        } catch {
            tell(options.paste.denied);
            return never;
        }
    };
    if (read) clipboard.read = paste;
    else Object.defineProperty(navigator, "clipboard", { value: { read: paste }, configurable: true });
    // Ctrl+V needs no permission.
    document.addEventListener("paste", event => {
        const file = [...event.clipboardData?.files ?? []].find(each => each.type.startsWith("image/"));
        if (!file || event.target.closest?.("input, textarea") || place()?.id != "photo") return;
        tell("");
        catLine.give(file);
    });
    document.addEventListener("click", event => {
        if (event.target.closest?.("#photo, #camera, [role=tab], #examples")) tell("");
    }, true);
}
