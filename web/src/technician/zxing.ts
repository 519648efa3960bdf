// The reader for browsers without one of their own: plain JavaScript, no WebAssembly, as the security policy wants it.

import BarcodeFormat from "@zxing/library/esm/core/BarcodeFormat";
import BinaryBitmap from "@zxing/library/esm/core/BinaryBitmap";
import DecodeHintType from "@zxing/library/esm/core/DecodeHintType";
import MultiFormatReader from "@zxing/library/esm/core/MultiFormatReader";
import RGBLuminanceSource from "@zxing/library/esm/core/RGBLuminanceSource";
import HybridBinarizer from "@zxing/library/esm/core/common/HybridBinarizer";

const LONGEST_PX = 960;

/** What a picture says: gray values, row by row. Throws where there is no code. */
export function textIn(gray: Uint8ClampedArray, width: number, height: number): string {
  const hints = new Map<DecodeHintType, unknown>();
  const formats = [BarcodeFormat.QR_CODE, BarcodeFormat.CODE_128, BarcodeFormat.CODE_39, BarcodeFormat.DATA_MATRIX, BarcodeFormat.EAN_13];
  hints.set(DecodeHintType.POSSIBLE_FORMATS, formats);
  hints.set(DecodeHintType.TRY_HARDER, true);
  const source = new RGBLuminanceSource(gray, width, height);
  return new MultiFormatReader().decode(new BinaryBitmap(new HybridBinarizer(source)), hints).getText();
}

export function grayOf(rgba: Uint8ClampedArray): Uint8ClampedArray {
  const gray = new Uint8ClampedArray(rgba.length / 4);
  for (let i = 0; i < gray.length; i += 1) gray[i] = ((rgba[4 * i] ?? 0) * 306 + (rgba[4 * i + 1] ?? 0) * 601 + (rgba[4 * i + 2] ?? 0) * 117) >> 10;
  return gray;
}

export function decoder(): (video: HTMLVideoElement) => Promise<string> {
  const canvas = document.createElement("canvas");
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  return (video) => {
    const scale = Math.min(1, LONGEST_PX / Math.max(video.videoWidth, video.videoHeight, 1));
    canvas.width = Math.max(1, Math.round(video.videoWidth * scale));
    canvas.height = Math.max(1, Math.round(video.videoHeight * scale));
    brush?.drawImage(video, 0, 0, canvas.width, canvas.height);
    const pixels = brush?.getImageData(0, 0, canvas.width, canvas.height).data;
    return new Promise((resolve, reject) => {
      try {
        resolve(pixels ? textIn(grayOf(pixels), canvas.width, canvas.height) : "");
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
  };
}
