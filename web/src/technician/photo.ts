// A photo as it is sent: drawn anew, upright and no larger than needed, so that nothing of where and with what it was taken leaves
// the phone. The service takes such parts out of whatever comes, too.

const LONGEST_PX = 1600;
const QUALITY = 0.82;

export interface Shot {
  bytes: ArrayBuffer;
  name: string;
  size: number;
  /** For an `img` of this page. */
  url: string;
}

export async function shotOf(file: Blob, name: string): Promise<Shot> {
  const image = await createImageBitmap(file, { imageOrientation: "from-image" });
  const scale = Math.min(1, LONGEST_PX / Math.max(image.width, image.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(image.width * scale));
  canvas.height = Math.max(1, Math.round(image.height * scale));
  canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
  image.close();
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
  if (!blob) throw new Error(name);
  return { bytes: await blob.arrayBuffer(), name, size: blob.size, url: URL.createObjectURL(blob) };
}
