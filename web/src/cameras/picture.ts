// A single picture of a camera, as a file of this tab.

import { address, path } from "../api/client";
import { problemOf } from "../api/problem";

export interface Taken {
  url: string;
  blob: Blob;
  name: string;
}

export async function takePicture(camera: string, purpose: string): Promise<Taken> {
  const answer = await fetch(address(path("/cameras/{camera}/snapshot", { camera }), { purpose }), { credentials: "same-origin", cache: "no-store" });
  if (!answer.ok) throw await problemOf(answer);
  const named = /filename="([^"]+)"/.exec(answer.headers.get("content-disposition") ?? "");
  const blob = await answer.blob();
  return { url: URL.createObjectURL(blob), blob, name: named?.[1] ?? "camera.jpg" };
}
