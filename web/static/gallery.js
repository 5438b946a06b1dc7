// The tab for several photos (web/ui/gallery.py). Called once the page is there. The files, their names, the
// list and the zip stay here; the server is asked about one photo after the other. What the tab is made of comes
// and goes with Gradio's tabs, so it is looked up when it is needed.
() => {
    const TRIES = 3, PAUSE_MS = 3000, LONGEST_MS = 60000, MOST_BYTES = 4e9;
    const part = name => document.getElementById(`gallery-${name}`);
    const options = () => JSON.parse(document.getElementById("gallery").dataset.options);
    const pause = ms => new Promise(resolve => setTimeout(resolve, ms));
    const plural = ({ one, many }, n) => n == 1 ? one : many.replace("N", n);

    // Each item: { file, tile, sent: a promise of { path } or { refused }, told: what the tile shows }.
    let items = [], leftOut = 0, running = false, question = null, answered = null;

    const choose = files => {
        const { most, words } = options();
        leftOut = Math.max(0, files.length - most);
        items = [...files].slice(0, most).map(file => ({ file, tile: waits(file.name, words) }));
        part("tiles").replaceChildren(...items.map(item => item.tile));
        show();
        run();
    };
    const run = async () => {
        if (running) return; // it goes on with what is chosen meanwhile
        running = true;
        for (let item; (item = items.find(each => !each.told));) {
            await look(item);
            show();
        }
        running = false;
    };
    const look = async item => {
        const { words } = options();
        const refused = detail => ({ kind: "wrong", headline: words.refused, detail });
        const photo = await (item.sent ??= send(item.file, words));
        const next = items[items.indexOf(item) + 1];
        if (next) next.sent ??= send(next.file, words); // it is on its way while this one is looked at
        item.told = photo.path ? await ask(item, photo.path, refused) : refused(photo.refused);
        tell(item);
    };

    // The name stays here: the server does without.
    const send = async (file, words) => {
        try {
            await file.slice(0, 1).arrayBuffer();
        } catch {
            return { refused: words.unreadable };
        }
        for (let left = TRIES; ; left--) {
            const body = new FormData();
            body.append("files", new File([file], "photo", { type: file.type }));
            let answer, said;
            try {
                answer = await fetch("gradio_api/upload", { method: "POST", body });
                said = await answer.text();
            } catch {
                return { refused: words.notReached };
            }
            if (answer.ok) return { path: JSON.parse(said)[0] };
            const after = Number(answer.headers.get("Retry-After"));
            if (answer.status == 413) return { refused: words.tooBig };
            if (!after || !left) return { refused: sentence(said) || words.notReached };
            part("line").textContent = sentence(said);
            await pause(1000 * after);
        }
    };
    // What the server says of an upload that it refuses: its words, or JSON around them.
    const sentence = said => {
        try {
            const found = JSON.parse(said);
            return typeof found == "string" ? found : found.detail ?? "";
        } catch {
            return said.startsWith("<") ? "" : said;
        }
    };
    const ask = async (item, path, refused) => {
        for (let left = TRIES; ; left--) {
            question = { path, meta: { _type: "gradio.FileData" } };
            const told = await Promise.race([
                new Promise(resolve => { answered = resolve; document.getElementById("gallery-ask").click(); }),
                pause(LONGEST_MS),
            ]);
            if (told) return told;
            const why = await busy();
            if (!left || !items.includes(item)) return refused(why);
            part("line").textContent = why;
            await pause(PAUSE_MS);
        }
    };
    const busy = async () => {
        try {
            const answer = await fetch("busy");
            if (answer.ok) return await answer.text();
        } catch { /* it cannot be reached */ }
        return options().words.notReached;
    };

    const element = (name, kind, text = "") => {
        const made = document.createElement(name);
        made.className = kind;
        made.textContent = text;
        return made;
    };
    const waits = (name, words) => {
        const tile = element("li", "tile");
        tile.append(element("div", "photo"), element("p", "headline", words.waits), element("p", "detail"));
        tile.append(element("p", "name", name));
        tile.querySelector(".name").title = name;
        return tile;
    };
    const tell = ({ tile, told }) => {
        tile.classList.add(told.kind);
        tile.querySelector(".headline").textContent = told.headline;
        tile.querySelector(".detail").textContent = told.detail;
        if (!told.picture) return;
        const picture = element("img", "");
        picture.alt = "";
        picture.src = told.picture;
        tile.querySelector(".photo").append(picture);
    };
    const show = () => {
        const { words } = options(), done = items.filter(item => item.told);
        document.querySelector("#gallery .results").hidden = !items.length;
        const of = kind => done.filter(item => item.told.kind == kind).length;
        for (const kind of ["cat", "unsure", "other"]) part(kind).textContent = of(kind);
        part("all").textContent = items.length;
        part("zip").disabled = !of("cat");
        const said = done.length < items.length
            ? words.looking.replace("DONE", done.length).replace("ALL", items.length)
            : items.length ? plural(words.done, items.length) : "";
        part("line").textContent = leftOut ? `${said} ${plural(words.leftOut, leftOut)}` : said;
    };

    const save = (blob, name) => {
        const link = document.createElement("a");
        link.href = URL.createObjectURL(blob);
        link.download = name;
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    };
    // A name that begins like a formula would be one in a spreadsheet.
    const cell = value => {
        const plain = /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
        return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain;
    };
    const list = () => {
        const rows = items.filter(item => item.told).map(({ file, told }) =>
            [file.name, told.label ?? "", told.probability?.toFixed(4) ?? "", told.detail]);
        const lines = [options().words.columns, ...rows].map(row => row.map(cell).join(","));
        save(new Blob(["\ufeff", lines.join("\r\n"), "\r\n"], { type: "text/csv" }), "are-you-a-cat.csv");
    };
    const pack = async () => {
        const { words } = options(), files = items.filter(item => item.told?.kind == "cat").map(item => item.file);
        if (files.reduce((sum, file) => sum + file.size, 0) > MOST_BYTES) {
            part("line").textContent = words.zipTooBig;
            return;
        }
        part("line").textContent = words.packing;
        try {
            save(await zip(files), "cats.zip");
            part("line").textContent = words.packed;
        } catch {
            part("line").textContent = words.notPacked;
        }
    };

    // A zip without compression, for photos are compressed already: PKWARE's APPNOTE.TXT 6.3.3, with names in UTF-8.
    const TABLE = Uint32Array.from({ length: 256 }, (_, i) => {
        for (let bit = 0; bit < 8; bit++) i = i & 1 ? (i >>> 1) ^ 0xedb88320 : i >>> 1;
        return i;
    });
    const crc32 = async file => {
        let crc = ~0;
        for (const reader = file.stream().getReader(); ;) {
            const { done, value } = await reader.read();
            if (done) return ~crc >>> 0;
            for (const byte of value) crc = TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
        }
    };
    const little = (...fields) => {
        const bytes = fields.flatMap(([size, value]) =>
            Array.from({ length: size }, (_, i) => Math.floor(value / 256 ** i) % 256));
        return Uint8Array.from(bytes);
    };
    const zip = async files => {
        const content = [], directory = [], taken = new Set();
        let at = 0;
        for (const file of files) {
            const name = new TextEncoder().encode(unique(file.name, taken)), size = file.size;
            const time = new Date(file.lastModified), year = Math.max(0, time.getFullYear() - 1980);
            const head = [
                [2, 20], [2, 0x0800], [2, 0],
                [2, time.getHours() << 11 | time.getMinutes() << 5 | time.getSeconds() >> 1],
                [2, year << 9 | time.getMonth() + 1 << 5 | time.getDate()],
                [4, await crc32(file)], [4, size], [4, size], [2, name.length], [2, 0],
            ];
            content.push(little([4, 0x04034b50], ...head), name, file);
            directory.push(little([4, 0x02014b50], [2, 20], ...head, [2, 0], [2, 0], [2, 0], [4, 0], [4, at]), name);
            at += 30 + name.length + size;
        }
        const size = directory.reduce((sum, bytes) => sum + bytes.length, 0), count = files.length;
        const end = little([4, 0x06054b50], [2, 0], [2, 0], [2, count], [2, count], [4, size], [4, at], [2, 0]);
        return new Blob([...content, ...directory, end], { type: "application/zip" });
    };
    // Photos from several folders may have one name.
    const unique = (name, taken) => {
        const [, stem, suffix] = name.match(/^(.*?)(\.[^.]*)?$/s);
        let found = name;
        for (let n = 2; taken.has(found.toLowerCase()); n++) found = `${stem} (${n})${suffix ?? ""}`;
        taken.add(found.toLowerCase());
        return found;
    };

    const inside = event => event.target.closest?.("#gallery .choose");
    document.addEventListener("change", event => {
        if (event.target == part("files") && event.target.files.length) {
            choose(event.target.files);
            event.target.value = ""; // so that the same photos can be chosen again
        }
        if (event.target.name == "gallery-show") part("tiles").dataset.show = event.target.value;
    });
    document.addEventListener("click", event => {
        const actions = { "gallery-csv": list, "gallery-zip": pack, "gallery-clear": () => choose([]) };
        actions[event.target.id]?.();
    });
    for (const kind of ["dragover", "dragleave", "drop"]) document.addEventListener(kind, event => {
        const box = inside(event);
        if (!box) return;
        event.preventDefault();
        box.classList.toggle("over", kind == "dragover");
        if (kind == "drop" && event.dataTransfer.files.length) choose(event.dataTransfer.files);
    });

    window.catGallery = {
        question: thorough => [question, thorough],
        answered: told => answered?.(told),
    };
}
