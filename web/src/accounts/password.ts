// A password that is handed over once: drawn by the browser, easy to read aloud, 100 bits.

/** Letters and digits that nobody mistakes for each other: 32 of them. */
export const LETTERS = "abcdefghjkmnpqrstuvwxyz23456789@";
const GROUPS = 4;
const GROUP = 5;

export function newPassword(random: (into: Uint8Array<ArrayBuffer>) => Uint8Array = (into) => crypto.getRandomValues(into)): string {
  const drawn = random(new Uint8Array(GROUPS * GROUP));
  const letters = Array.from(drawn, (one) => LETTERS[one % LETTERS.length]); // 256 is a multiple of 32: all are as likely
  return Array.from({ length: GROUPS }, (_, group) => letters.slice(group * GROUP, (group + 1) * GROUP).join("")).join("-");
}
