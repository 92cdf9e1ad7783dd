// The writer in a page of its own.

import { startCopyButtons, startTheme } from "./chrome.js";
import { Writer } from "./lines.js";
import { startLiveWriting } from "./live.js";

const embedded = JSON.parse(document.getElementById("data").textContent);

startTheme();
startLiveWriting(document.getElementById("live"), new Writer(embedded.network), embedded.primes, embedded);
startCopyButtons();
document.documentElement.dataset.ready = "yes";
