"""The visitor's browser makes a phone's photo smaller before it sends it, in JavaScript.

Of 12 megapixels the model looks at a quarter of one; the rest would only cost the visitor's data and the
server's time. The browser draws the photo and sends what it drew, so what a phone writes beside the pixels,
such as the place, stays there too. Whatever the browser cannot draw goes as it is. Where the server cannot be
reached, the page says so in its own words.
"""

import json

from web import words

SIDE = 1024
"""Pixels of the shorter side that are sent: twice what a model of 256 pixels has decoded of a photo."""
QUALITY = 0.9
"""Of the JPEG that is sent."""

SEND_SMALLER = f"""{{
    // A browser that guards against fingerprinting hands out noise instead of what was drawn.
    const draws = () => {{
        const pen = new OffscreenCanvas(4, 4).getContext("2d");
        pen.fillStyle = "#123456";
        pen.fillRect(0, 0, 4, 4);
        return pen.getImageData(0, 0, 4, 4).data.every((value, i) => value == [18, 52, 86, 255][i % 4]);
    }};
    const smaller = async photo => {{
        if (!["image/jpeg", "image/heic", "image/heif"].includes(photo.type)) return photo;
        try {{
            if (!draws()) return photo;
            const whole = await createImageBitmap(photo, {{ imageOrientation: "from-image" }});
            const scale = Math.min(1, {SIDE} / Math.min(whole.width, whole.height));
            if (scale == 1 && photo.type == "image/jpeg") return photo;
            const sides = [whole.width, whole.height].map(side => Math.round(side * scale));
            const canvas = new OffscreenCanvas(...sides), pen = canvas.getContext("2d");
            pen.imageSmoothingQuality = "high";
            pen.drawImage(whole, 0, 0, ...sides);
            whole.close();
            const drawn = await canvas.convertToBlob({{ type: "image/jpeg", quality: {QUALITY} }});
            return new File([drawn], photo.name.replace(/\\.\\w+$/, "") + ".jpg", {{ type: drawn.type }});
        }} catch {{
            return photo;
        }}
    }};
    const send = window.fetch;
    window.fetch = async (address, options) => {{
        if (!/\\/upload(\\?|$)/.test(address) || !(options?.body instanceof FormData))
            return send(address, options);
        const body = new FormData();
        for (const [name, value] of options.body)
            body.append(name, value instanceof File ? await smaller(value) : value);
        try {{
            return await send(address, {{ ...options, body }});
        }} catch {{
            return new Response({json.dumps(words.NOT_REACHED)}, {{ status: 503 }});
        }}
    }};
}}"""
"""What the browser runs once it has the page: every upload passes through it."""
