// The model in the visitor's browser, where it was built and can be run: the live tab, and the switch of the tab for
// one photo. Called once the page is there, with { engine: the address of its files or "", live, device: words,
// verdicts: [kind, headline, detail] by label, openCamera, legend, zoomed }.
(options) => {
    const root = document.documentElement;
    if (!options.engine || typeof WebAssembly == "undefined" || typeof OffscreenCanvas == "undefined") return;
    const HEAT = 448;
    const file = name => new URL(options.engine + name, document.baseURI).href;
    root.classList.add("on-device");

    // The engine is loaded when it is first needed; one that cannot be run leaves all to the server.
    let loading = null, loaded = false, percent;
    let chosen = false; // whether the visitor has used the switch, which then stays as it is
    const load = () => loading ??= (async () => {
        try {
            const module = await import(file("looks.js"));
            percent = module.percent;
            const looks = new module.Looks("bundle/");
            await looks.ready;
            loaded = true;
            return looks;
        } catch (error) {
            root.classList.remove("on-device");
            throw error;
        }
    })();

    const told = (panel, [kind, headline, detail], percent) => {
        const [above, below] = panel.querySelectorAll("p");
        const said = percent === undefined ? headline : `${headline} — ${percent}\u00a0%`;
        if (panel.className != `verdict ${kind}`) panel.className = `verdict ${kind}`;
        if (above.textContent != said) above.textContent = said;
        if (below.textContent != detail) below.textContent = detail;
    };
    const show = (panel, { label, probability }) => {
        const cat = percent(probability);
        told(panel, options.verdicts[label], { cat, "not a cat": 100 - cat }[label]);
    };

    const made = (name, kind, words = "") =>
        Object.assign(document.createElement(name), { className: kind, textContent: words });
    const panelOf = (...parts) => {
        const panel = made("div", "verdict idle"), body = made("div", "");
        body.append(made("p", "headline"), made("p", ""));
        panel.append(body);
        document.querySelector("#device .html-container").replaceChildren(panel, ...parts);
        return panel;
    };

    // The photo that is answered here, { file }; and whether the next one goes to the server all the same.
    let shown = null, address = "", sending = false;
    const words = options.device;
    const clear = () => {
        if (address) URL.revokeObjectURL(address);
        [shown, address] = [null, ""];
        for (const place of document.querySelectorAll("#device .html-container, #device-photo .html-container"))
            place.replaceChildren();
    };
    const more = (said, why) => {
        const box = made("div", "device"), button = made("button", "send", words.send);
        button.type = "button";
        box.append(made("p", "where", said), made("p", "", why), button);
        return box;
    };
    const picture = ({ values, closer }, draw) => {
        const place = document.querySelector("#device-photo .html-container");
        let frame = place.querySelector(".picture");
        if (!frame) {
            frame = made("div", "picture");
            const photo = made("img", ""), remove = made("button", "remove", "×");
            address = photo.src = URL.createObjectURL(shown.file);
            photo.alt = words.photo;
            photo.onload = () => frame.style.setProperty("--ratio", photo.naturalWidth / photo.naturalHeight);
            remove.type = "button";
            remove.setAttribute("aria-label", words.remove);
            frame.append(photo, made("canvas", "heat"), remove);
            place.replaceChildren(frame);
        }
        const canvas = frame.querySelector(".heat"), pen = canvas.getContext("2d");
        [canvas.width, canvas.height] = [HEAT, HEAT];
        draw(pen, values, { strength: 1 });
        frame.querySelector(".zoomed")?.remove();
        if (!closer) return;
        const [left, top, right, bottom] = closer.map(each => 100 * each), zoomed = made("span", "zoomed");
        zoomed.title = options.zoomed;
        zoomed.style.cssText = `left:${left}%;top:${top}%;width:${right - left}%;height:${bottom - top}%`;
        frame.append(zoomed);
    };
    const thorough = () => document.querySelector("#thorough input")?.checked ?? false;
    const answer = async photo => {
        const mine = shown = { file: photo };
        const panel = panelOf();
        told(panel, ["idle", loaded ? words.looking : words.loading, ""]);
        panel.setAttribute("aria-busy", "true");
        catPage.scroll();
        try {
            const [looks, { draw }] = await Promise.all([load(), import(file("are-you-a-cat.js"))]);
            const { searches } = await looks.renew();
            for (const wanted of searches && thorough() ? [false, true] : [false]) {
                const look = await looks.look({ file: photo, thorough: wanted });
                if (shown != mine) return;
                if (!panel.nextSibling) {
                    const legend = document.createElement("template");
                    legend.innerHTML = options.legend;
                    panel.after(legend.content, more(words.answered, words.more));
                }
                show(panel, look.verdict);
                picture(look, draw);
            }
            panel.removeAttribute("aria-busy");
        } catch (error) {
            if (shown != mine) return;
            const unreadable = error?.name == "Unreadable";
            const headline = unreadable ? words.unreadable : words.failed;
            told(panelOf(more("", words.needed)), ["wrong", headline, unreadable ? "" : String(error?.message ?? error)]);
        }
    };
    const box = () => document.getElementById("device-on");
    const answersHere = () => !sending && root.classList.contains("on-device") && !!box()?.checked;
    window.catDevice = {
        answersHere,
        // Answers a photo that was chosen, if that is to be done here; returns whether it is.
        take: photo => {
            clear();
            const here = answersHere();
            sending = false;
            if (!here) return false;
            document.querySelector('#photo [aria-label="Remove Image"]')?.click();
            answer(photo);
            return true;
        },
    };
    document.addEventListener("click", ({ target }) => {
        const send = target.closest?.("#device .send");
        if (send) {
            send.disabled = true; // a second click would have the photo answered here once more
            sending = true;
            catLine.give(shown.file);
        }
        if (target.closest?.("#device-photo .remove, #examples button")) clear();
    });
    document.addEventListener("input", ({ target }) => {
        if (target.id == "device-on") {
            chosen = true;
            where();
        }
        if (target.closest?.("#thorough") && shown) answer(shown.file);
    });
    const where = () => {
        const said = document.querySelector("#device-switch [role=status]");
        said.textContent = box().checked ? loaded ? words.here : words.loading : words.sent;
        if (box().checked && !loaded) load().then(where, where);
    };

    // Six megabytes that the next visit does not need again: not before the page is there, and not unasked where the
    // visitor saves data.
    const prepare = async () => {
        while (!box()) await new Promise(resolve => setTimeout(resolve, 50));
        box().disabled = false;
        if (navigator.connection?.saveData) return;
        await load().catch(() => {});
        if (!loaded || chosen) return;
        box().checked = true;
        where();
    };

    const wire = async place => {
        place.dataset.wired = "";
        const panel = place.querySelector(".verdict"), idle = ["idle", options.openCamera, ""];
        try {
            const [looks, { wire }] = await Promise.all([load(), import(file("live.js"))]);
            wire(place, looks, options.live, {
                show: verdict => verdict ? show(panel, verdict) : told(panel, idle),
                ready: () => looks.renew(),
            });
            place.querySelector(".start").disabled = false;
        } catch {
            // The server's camera is shown instead.
        }
    };
    // What Gradio's tabs are made of comes when they are opened.
    const look = () => {
        const place = document.querySelector("#device-live:not([data-wired])");
        if (place?.querySelector(".film")) wire(place);
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true });
    look();
    prepare();
}
