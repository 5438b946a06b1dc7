// What goes between the page and its server: photos are made smaller before they are sent, places in the queue are
// told, and when the line is cut or the server starts again the photo is still here, with a button to try again.
// Called once the page is there, with what Python knows: { before: { one, many }, atOnce, momentMs, side, quality,
// uploadBytes, words, and numbers of functions: model, answers, searches, examples }. What it relies on in Gradio's page stands
// in web/gradio_compat.py.
(options) => {
    const { words } = options, STASH = "are-you-a-cat", SILENCE_MS = 45000, STASH_CHARACTERS = 4e6;
    const UNCHANGED = { __type__: "update" };
    const send = window.fetch.bind(window);
    const config = window.gradio_config;
    const json = (value, status = 200) =>
        new Response(JSON.stringify(value), { status, headers: { "Content-Type": "application/json" } });
    // The server's sentence may come as such, as a JSON string, or as the detail in JSON.
    const sentence = said => {
        try {
            const found = JSON.parse(said);
            return typeof found == "string" ? found : found.detail ?? words.notReached;
        } catch {
            return said && !said.startsWith("<") ? said : words.notReached;
        }
    };

    // A phone's photo is made smaller before it is sent: of 12 megapixels the model sees a fraction. What the
    // phone wrote beside the pixels, such as the place, stays here. Whatever cannot be drawn goes as it is.
    // A browser that guards against fingerprinting hands out noise instead of what was drawn.
    const draws = () => {
        const pen = new OffscreenCanvas(4, 4).getContext("2d");
        pen.fillStyle = "#123456";
        pen.fillRect(0, 0, 4, 4);
        return pen.getImageData(0, 0, 4, 4).data.every((value, i) => value == [18, 52, 86, 255][i % 4]);
    };
    const smaller = async (photo, side = options.side) => {
        const big = photo.size > options.uploadBytes;
        if (!big && !["image/jpeg", "image/heic", "image/heif"].includes(photo.type)) return photo;
        try {
            if (!draws()) return photo;
            const whole = await createImageBitmap(photo, { imageOrientation: "from-image" });
            const scale = Math.min(1, side / Math.min(whole.width, whole.height));
            if (!big && scale == 1 && photo.type == "image/jpeg") return photo;
            const sides = [whole.width, whole.height].map(each => Math.round(each * scale));
            const canvas = new OffscreenCanvas(...sides), pen = canvas.getContext("2d");
            pen.fillStyle = "white"; // as the server lays what is transparent
            pen.fillRect(0, 0, ...sides);
            pen.imageSmoothingQuality = "high";
            pen.drawImage(whole, 0, 0, ...sides);
            whole.close();
            const drawn = await canvas.convertToBlob({ type: "image/jpeg", quality: options.quality });
            return new File([drawn], photo.name.replace(/\.\w+$/, "") + ".jpg", { type: drawn.type });
        } catch {
            return photo;
        }
    };
    const tooBig = photo => photo.size <= options.uploadBytes ? "" : words.tooBig
        .replace("SIZE", Math.ceil(photo.size / 1e5) / 10)
        .replace("MOST", options.uploadBytes / 1e6);

    // The photo that was shown last, in the memory of this page alone: { file } or { example }, its number.
    let kept = null, shown = null, unsent = false;
    const lose = (said, again = true) => {
        const panel = document.querySelector("#lost .html-container");
        if (shown) URL.revokeObjectURL(shown);
        shown = null;
        panel.replaceChildren();
        if (!said) return;
        const made = (name, kind, text) => Object.assign(document.createElement(name), { className: kind, textContent: text });
        const verdict = made("div", "verdict wrong", ""), body = made("div", "", "");
        body.append(made("p", "headline", words.headline), made("p", "", said));
        if (again && kept) {
            const button = made("button", "again", words.again);
            button.type = "button";
            body.append(button);
        }
        verdict.append(body);
        if (again && kept?.file) {
            const picture = made("img", "", "");
            shown = picture.src = URL.createObjectURL(kept.file);
            picture.alt = words.kept;
            picture.onerror = () => picture.remove();
            verdict.append(picture);
        }
        panel.append(verdict);
    };
    // Through the box's own door for files that are dropped: it takes them in whatever state it is.
    const give = file => {
        const data = new DataTransfer();
        data.items.add(typed(file));
        document.querySelector("#photo .upload-container")
            .dispatchEvent(new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
    };

    // Gradio goes by the MIME type and refuses the rest in words of its own; many systems know none for HEIC.
    // Here every file goes to the server, which says in its words what it cannot read.
    const typed = file => file.type.startsWith("image/") ? file : new File([file], file.name, {
        type: /\.(heic|heif|hif)$/i.test(file.name) ? "image/heic" : "image/unknown",
    });
    document.addEventListener("drop", event => {
        const [file] = event.dataTransfer?.files ?? [];
        if (!event.isTrusted && file?.type.startsWith("image/")) return; // from `give`
        if (!file || !event.target.closest?.("#photo, #device-photo")) return;
        event.preventDefault();
        event.stopPropagation();
        give(file);
    }, true);
    document.addEventListener("change", ({ target }) => {
        if (!target.matches?.("#photo input[type=file]") || !target.files.length) return;
        const data = new DataTransfer();
        data.items.add(typed(target.files[0]));
        target.files = data.files;
    }, true);

    // Whether the server is the one that this page came from. What it cannot say, it is asked again.
    let doubted = false;
    const server = async () => {
        try {
            const answer = await send("gradio_api/app_id");
            if (!answer.ok) return "gone";
            if ((await answer.json()).app_id != config.app_id) return "another";
            doubted = false;
            return "same";
        } catch {
            return "gone";
        }
    };
    // Only where the visitor has just asked for it: a photo that ends the server must not do so again and again.
    const startAnew = async () => {
        const { file, example } = kept, photo = file && { name: file.name, type: file.type };
        if (file) {
            const small = file.size * 4 / 3 < STASH_CHARACTERS ? file : await smaller(file, options.side / 2);
            photo.data = await new Promise(resolve => {
                const reader = Object.assign(new FileReader(), { onload: () => resolve(reader.result) });
                reader.readAsDataURL(small);
            });
        }
        try {
            sessionStorage.setItem(STASH, JSON.stringify({ photo, example }));
        } catch {
            sessionStorage.setItem(STASH, "{}");
        }
        location.reload();
    };
    const afterwards = async () => {
        let found = null;
        try {
            found = sessionStorage.getItem(STASH);
            sessionStorage.removeItem(STASH);
        } catch {
            // A frame of another site may have no such storage; nothing was kept there then.
        }
        if (!found) return;
        while (!document.querySelector("#photo .upload-container") || !document.querySelector("#lost .html-container"))
            await new Promise(resolve => setTimeout(resolve, 50));
        const { photo, example } = JSON.parse(found);
        if (photo) {
            const data = await (await send(photo.data)).blob();
            kept = { file: new File([data], photo.name, { type: photo.type }) };
        } else if (example !== undefined) kept = { example };
        else return lose(words.gone, false);
        show();
    };
    const show = () => {
        lose("");
        if (kept.file) give(kept.file);
        else document.querySelectorAll("#examples button")[kept.example]?.click();
    };
    const again = async () => {
        const found = doubted ? await server() : "same";
        if (found == "gone") lose(words.still);
        else if (found == "another") await startAnew();
        else show();
    };

    const upload = async (address, request) => {
        const mine = /[?&]upload_id=/.test(address); // the box's; gallery.js tells by itself what went wrong
        const body = new FormData();
        for (const [key, value] of request.body)
            body.append(key, value instanceof File ? await smaller(value) : value);
        const photo = body.get("files");
        if (mine) {
            kept = { file: photo };
            unsent = false;
            lose("");
            if (window.catDevice?.take(photo)) {
                unsent = true;
                return json([]); // it is answered here
            }
            if (doubted && await server() == "another") {
                await startAnew();
                return new Promise(() => {});
            }
        }
        let said = tooBig(photo), small = !said;
        if (!said) try {
            const answer = await send(address, { ...request, body });
            if (answer.ok || !mine) return answer;
            said = sentence(await answer.text());
            small = answer.status != 413;
        } catch {
            doubted = true;
            said = words.notReached;
        }
        if (!mine) return json(said, small ? 503 : 400);
        unsent = true;
        lose(said, small);
        return json([]); // for Gradio nothing was chosen: it says nothing of it in its own words
    };

    // Gradio asks how far an upload is; of a photo that stays here there is nothing to tell.
    const nothingSent = () =>
        new Response('data: {"msg": "done"}\n\n', { headers: { "Content-Type": "text/event-stream" } });

    // Questions that were put and not answered: { fn, about: the photo of that time, rank: how many wait before
    // it, or null }, by their ids. Those whose ids begin with "cut-" never reached the server.
    const open = new Map();
    let live = null, cuts = 0;
    const told = fn => config.dependencies.some(each => each.trigger_after == fn && each.trigger_only_on_failure);
    // A search that ends when the next photo is here is no answer for that one.
    const stale = ({ msg, event_id: id, success }) => {
        const { fn, about } = open.get(id) ?? {};
        return msg == "process_completed" && success && options.searches.includes(fn) && about !== kept;
    };
    const failed = id => {
        const { fn } = open.get(id) ?? {};
        open.delete(id);
        const output = { error: words.notReached, visible: !told(fn), title: words.headline };
        return { msg: "process_completed", event_id: id, success: false, output };
    };
    const ask = async (address, request) => {
        const { fn_index: fn } = JSON.parse(request.body), about = kept;
        if (doubted && options.answers.includes(fn) && kept?.example !== undefined && await server() == "another") {
            await startAnew();
            return new Promise(() => {});
        }
        let answer = null;
        try {
            answer = await send(address, request);
            if (answer.ok) {
                open.set((await answer.clone().json()).event_id, { fn, about, rank: null });
                return answer;
            }
        } catch {
            doubted = true;
        }
        if (answer && !told(fn)) return answer;
        const id = `cut-${++cuts}`;
        open.set(id, { fn, about, rank: null });
        live?.(failed(id));
        return json({ event_id: id });
    };
    const forget = async (address, request) => {
        open.delete(JSON.parse(request?.body ?? "{}").event_id);
        tell();
        return send(address, request);
    };
    // For Gradio a stream that breaks is the end: it asks for no other, and loads the page anew, without the
    // photo. So it gets the end of each question instead, as a failure, and then the end of the stream.
    const stream = async (address, request) => {
        const signal = address.signal ?? request?.signal, coder = new TextEncoder();
        const real = [...open.keys()].some(id => !id.startsWith("cut-"));
        let lines = null;
        if (real) try {
            const answer = await send(address, request);
            if (answer.ok) lines = answer.body.pipeThrough(new TextDecoderStream()).getReader();
        } catch (error) {
            if (signal?.aborted) throw error;
        }
        const start = async out => {
            const write = message => out.enqueue(coder.encode(`data: ${JSON.stringify(message)}\n\n`));
            let ended = false, rest = "";
            live = write;
            [...open.keys()].filter(id => id.startsWith("cut-")).forEach(id => write(failed(id)));
            try {
                while (lines && !ended) {
                    const { done, value } = await within(lines.read(), SILENCE_MS);
                    if (done) break;
                    const parts = (rest + value).split("\n\n");
                    rest = parts.pop();
                    for (const part of parts) {
                        const message = JSON.parse(part.replace(/^data: ?/, ""));
                        if (message.msg == "unexpected_error") throw new Error(message.message);
                        if (stale(message)) message.output.data = message.output.data.map(() => UNCHANGED);
                        heard(message);
                        write(message);
                        ended ||= message.msg == "close_stream";
                    }
                }
            } catch {
                ended ||= signal?.aborted;
            }
            live = null;
            if (!ended) {
                if (real) doubted = true;
                [...open.keys()].forEach(id => write(failed(id)));
                write({ msg: "close_stream" });
                tell();
            }
            try { out.close(); } catch { /* Gradio has closed it */ }
        };
        const body = new ReadableStream({ start: out => { start(out); }, cancel: () => lines?.cancel() });
        return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
    };
    const within = (promise, ms) => {
        let timer;
        const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error("Silence")), ms); });
        return Promise.race([promise, late]).finally(() => clearTimeout(timer));
    };
    const heartbeat = async (address, request) => {
        const answer = await send(address, request);
        const [heard, watched] = answer.body.tee();
        watched.pipeTo(new WritableStream()).catch(() => {}).then(() => { doubted = true; });
        return new Response(heard, { status: answer.status, headers: answer.headers });
    };
    const run = async (address, request) => {
        try {
            return await send(address, request);
        } catch {
            doubted = true;
            if (options.examples.includes(JSON.parse(request?.body ?? "{}").fn_index)) lose(words.notReached);
            return json({ error: words.notReached }, 503);
        }
    };

    // Who waits is told how many come first, by what the queue itself says. Most wait for a moment only.
    let timer = null, waits = false;
    const heard = ({ msg, event_id: id, rank }) => {
        const question = open.get(id);
        if (!question) return;
        question.rank = msg == "estimation" ? rank : null;
        if (msg == "process_completed") open.delete(id);
        tell();
    };
    const tell = () => {
        const ids = [...open.keys()], at = ids.findLastIndex(id => options.answers.includes(open.get(id).fn));
        const rank = at < 0 ? null : open.get(ids[at]).rank;
        if (rank === null) { clearTimeout(timer); timer = null; waits = false; }
        else timer ??= setTimeout(() => { waits = true; tell(); }, options.momentMs);
        // Those being looked at come on top of those that wait; this visitor's own are nobody else.
        const own = ids.slice(0, Math.max(at, 0)).filter(id => options.model.includes(open.get(id).fn)).length;
        const before = waits ? Math.max(0, rank + options.atOnce - own) : 0;
        const { one, many } = options.before;
        const said = before ? (before == 1 ? one : many.replace("N", before)) : "";
        const detail = document.querySelector("#answer .verdict.idle p:last-child");
        if (detail && detail.textContent != said) detail.textContent = said;
    };

    window.fetch = (address, request) => {
        const path = new URL(address.url ?? address, location.href).pathname;
        if (path.endsWith("/upload") && request?.body instanceof FormData) return upload(String(address), request);
        if (path.endsWith("/upload_progress") && window.catDevice?.answersHere()) return nothingSent();
        if (path.endsWith("/queue/join")) return ask(address, request);
        if (path.endsWith("/queue/data")) return stream(address, request);
        if (path.endsWith("/cancel")) return forget(address, request);
        if (path.includes("/heartbeat/")) return heartbeat(address, request);
        if (path.includes("/gradio_api/run/")) return run(address, request);
        return send(address, request);
    };
    document.addEventListener("click", event => {
        if (event.target.closest?.("#lost .again")) again();
        const example = event.target.closest?.("#examples button");
        if (example) {
            unsent = false;
            kept = { example: [...document.querySelectorAll("#examples button")].indexOf(example) };
            lose("");
        }
        if (event.target.closest?.('#stage [aria-label="Remove Image"]')) {
            kept = null;
            lose("");
        }
    }, true);
    window.catLine = {
        give,
        // Why a photo was not looked at: the server is asked, as long as it can be.
        failed: async () => {
            if (unsent || !kept) return; // it was about no photo
            try {
                const answer = await send("busy");
                lose(answer.ok ? await answer.text() : words.broke);
            } catch {
                doubted = true;
                lose(words.broke);
            }
        },
    };
    afterwards();
}
