// Reads QR codes from the camera. The reader is loaded here, so only when the camera is open; it is ours, from this host.

const PAUSE_MS = 150;
const SAME_CODE_MS = 4000; // a code that stays before the camera is one scan

export async function watch(addresses, place, scans, texts, scan) {
  const video = place.querySelector("video");
  const error = place.querySelector(".error");
  let facing = (await scans.setting("facing")) ?? "environment";
  let seen = { code: null, at: 0 };

  async function open() {
    for (const track of video.srcObject?.getTracks() ?? []) track.stop();
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: facing, width: { ideal: 1280 } } });
    await video.play();
    place.classList.toggle("mirrored", facing === "user");
  }

  place.querySelector("#turn").addEventListener("click", async () => {
    facing = facing === "user" ? "environment" : "user";
    await scans.set("facing", facing);
    await open();
  });
  addEventListener("pagehide", () => video.srcObject?.getTracks().forEach((track) => track.stop()));

  try {
    const [detector] = await Promise.all([reader(addresses), open()]);
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      if (video.readyState < video.HAVE_CURRENT_DATA || document.hidden) continue;
      const [found] = await detector.detect(video);
      if (!found) continue;
      const isNew = found.rawValue !== seen.code || Date.now() - seen.at > SAME_CODE_MS;
      seen = { code: found.rawValue, at: Date.now() };
      if (isNew) await scan(found.rawValue);
    }
  } catch {
    error.textContent = texts.no_camera;
    error.hidden = false;
  }
}

async function reader({ detector, wasm }) {
  const script = Object.assign(document.createElement("script"), { src: detector });
  await new Promise((resolve, reject) => {
    script.addEventListener("load", resolve);
    script.addEventListener("error", reject);
    document.head.append(script);
  });
  const { BarcodeDetector, prepareZXingModule } = window.BarcodeDetectionAPI;
  await prepareZXingModule({ overrides: { locateFile: () => wasm }, fireImmediately: true });
  return new BarcodeDetector({ formats: ["qr_code"] });
}
