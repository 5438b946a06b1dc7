// What the visitor's browser does by itself: names for screen readers, the strength of the colours, the saved
// picture. Called once the page is there, with { names }, those of the examples.
(options) => {
    // Installed, the page works below a path too: Gradio links the manifest of the whole host.
    document.querySelector('link[rel="manifest"]')?.setAttribute("href", "manifest.json");
    // Says without a network that there is none. Some frames and plain HTTP have no service workers.
    (async () => navigator.serviceWorker?.register("offline.js"))().catch(() => {});
    // Names for screen readers: some parts of the page come, and come again, after this has run.
    const name = () => {
        for (const it of document.querySelectorAll("#answer, #lost, #device, #thanks")) it.setAttribute("role", "status");
        document.querySelectorAll("#examples button").forEach((button, i) =>
            button.setAttribute("aria-label", options.names[i]));
        // What is read out begins with what is seen, which is not so in Gradio.
        for (const it of document.querySelectorAll("#photo button[aria-dropeffect][aria-label]"))
            it.removeAttribute("aria-label");
    };

    name();
    new MutationObserver(name).observe(document.body, { subtree: true, childList: true });

    // A file that the browser cannot draw would be the picture of a broken one.
    document.addEventListener("error", ({ target }) => {
        if (target.matches?.("#photo img")) target.classList.add("undrawn");
    }, true);
    // The strength of the colours is the browser's own: no word to the server.
    document.addEventListener("input", ({ target }) => {
        if (target.id == "strength") document.documentElement.style.setProperty("--strength", target.value / 100);
    });

    window.catPage = {
        // On a phone the examples lie below the answer: who takes one sees the answer all the same.
        scroll: () => {
            const answer = document.querySelector("#device .verdict") ?? document.getElementById("answer");
            const { top, bottom } = answer.getBoundingClientRect();
            if (top < 0 || bottom > innerHeight) document.getElementById("stage").scrollIntoView();
        },
        // Saves what the page shows, photo and colours at their strength, above the caption that the server drew.
        save: async caption => {
            const [photo, heat] = document.querySelectorAll("#overlay .picture img");
            const below = new Image();
            below.src = caption;
            await below.decode();
            const [width, height] = [photo.naturalWidth, photo.naturalHeight];
            const canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
            const captionHeight = Math.round(below.naturalHeight * width / below.naturalWidth);
            [canvas.width, canvas.height] = [width, height + captionHeight];
            pen.imageSmoothingQuality = "high";
            pen.drawImage(photo, 0, 0);
            pen.globalAlpha = document.getElementById("colours-on").checked ? getComputedStyle(heat).opacity : 0;
            pen.drawImage(heat, 0, 0, width, height);
            pen.globalAlpha = 1;
            pen.drawImage(below, 0, height, width, captionHeight);
            canvas.toBlob(bytes => {
                const link = document.createElement("a");
                link.href = URL.createObjectURL(bytes);
                link.download = "are-you-a-cat.png";
                link.click();
                setTimeout(() => URL.revokeObjectURL(link.href), 10000);
            });
        },
    };
}
