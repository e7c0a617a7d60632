"""The pictures of the README: the loss of the newest pretraining, and the page of `nielsgpt serve`.

python docs/pictures/make.py, after make pipeline, with Debian's chromium and the extra `proofs`
"""

import re
import shutil
import subprocess
from pathlib import Path

from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
QUESTIONS = ("Who are you?", "What is the capital of Peru?", "What is my phone number?")


def newest_loss_plot(runs: Path) -> Path:
    """The plot of the newest run that pretrained."""
    plots = runs.glob("*/plots/loss.png")
    pretrained = [
        p for p in plots if '"phase": "pretrain"' in (p.parents[1] / "run_meta.json").read_text()
    ]
    return max(pretrained, key=lambda path: path.stat().st_mtime)


def picture_page(target: Path) -> None:
    """Ask the served model some questions in a browser, and keep what the page shows."""
    server = subprocess.Popen(
        ["nielsgpt", "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert server.stdout is not None
    try:
        url = next(m[0] for line in server.stdout if (m := re.search(r"http://127\S+", line)))
        with sync_playwright() as play:
            browser = play.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            page = browser.new_page(viewport={"width": 900, "height": 560})
            page.goto(url)
            for question in QUESTIONS:
                page.get_by_role("textbox").last.fill(question)
                page.keyboard.press("Enter")
                page.wait_for_timeout(3000)
            page.screenshot(path=str(target))
            browser.close()
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    shutil.copyfile(newest_loss_plot(Path("runs")), HERE / "loss.png")
    picture_page(HERE / "chat.png")
