// The model in the visitor's browser, where it was built and can be run. Called once the page is there, with
// { engine: the address of its files or "", live: words, verdicts: [kind, headline, detail] by label, openCamera }.
(options) => {
    const root = document.documentElement;
    if (!options.engine || typeof WebAssembly == "undefined" || typeof OffscreenCanvas == "undefined") return;
    const file = name => new URL(options.engine + name, document.baseURI).href;
    root.classList.add("on-device");

    // The engine is loaded when it is first needed; one that cannot be run leaves all to the server.
    let loading = null;
    const load = () => loading ??= (async () => {
        try {
            const { Looks } = await import(file("looks.js"));
            const looks = new Looks("bundle/");
            await looks.ready;
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
    // As text.py does it: from 1 to 99, halves to the even number.
    const percent = probability => {
        const exact = 100 * probability, near = Math.round(exact);
        return Math.min(99, Math.max(1, near - exact == 0.5 && near % 2 ? near - 1 : near));
    };
    const show = (panel, { label, probability }) => {
        const cat = percent(probability);
        told(panel, options.verdicts[label], { cat, "not a cat": 100 - cat }[label]);
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
}
