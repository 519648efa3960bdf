// IMEIs as `model.imei` has them: fifteen digits, the last one Luhn's check digit. What is wrong is said as a key and its values.

import type { Key } from "../text";

export const DIGITS = 15;

export function luhnDigit(digits: string): number {
  let total = 0;
  for (let i = 0; i < digits.length; i += 1) {
    let digit = digits.charCodeAt(digits.length - 1 - i) - 48;
    if (i % 2 === 0) {
      digit *= 2;
      if (digit > 9) digit -= 9;
    }
    total += digit;
  }
  return (10 - (total % 10)) % 10;
}

/** Without what a label has between digits. */
export function plainDigits(text: string): string {
  return text.replace(/[\s./-]/g, "");
}

export interface Verdict {
  /** `part`: may still become one; `label`: whole, but its check digit does not hold. */
  state: "empty" | "part" | "good" | "label" | "wrong";
  says: Key | "";
  values: Record<string, string | number>;
}

/** What to say of an IMEI while it is typed. */
export function judged(text: string): Verdict {
  const digits = plainDigits(text);
  if (!digits) return { state: "empty", says: "", values: {} };
  const odd = [...digits].find((letter) => letter < "0" || letter > "9");
  if (odd) return { state: "wrong", says: "tech.imei.noDigit", values: { letter: odd } };
  if (digits.length < DIGITS) return { state: "part", says: "tech.imei.few", values: { n: DIGITS - digits.length } };
  if (digits.length === DIGITS + 1) return { state: "wrong", says: "tech.imei.sv", values: {} };
  if (digits.length > DIGITS) return { state: "wrong", says: "tech.imei.many", values: { n: digits.length - DIGITS } };
  const last = digits.slice(-1);
  const wanted = luhnDigit(digits.slice(0, -1));
  if (Number(last) !== wanted) return { state: "label", says: "tech.imei.check", values: { last, wanted } };
  if (/^0+$/.test(digits)) return { state: "wrong", says: "tech.imei.zeros", values: {} };
  return { state: "good", says: "tech.imei.good", values: {} };
}

/** An IMEI in what a code says: labels write `IMEI:49015…`, a link, or several numbers; the first that holds. */
export function imeiIn(text: string): string {
  for (const found of text.matchAll(/(?<!\d)\d{15}(?!\d)/g)) if (judged(found[0]).state === "good") return found[0];
  return "";
}

/** The id that the service gives a device that is registered without one. */
export function madeId(kind: string, imei: string, number: string): string {
  const name = plainDigits(imei) || plainDigits(number).replace(/^\+/, "");
  return name ? `${kind}/${name}` : "";
}
