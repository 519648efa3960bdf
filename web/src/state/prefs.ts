// What a person chose for this browser: theme and language.

import { effect, signal } from "@preact/signals";
import { language, type Language } from "../text";

export type Theme = "dark" | "light";

const kept = {
  get(name: string): string {
    try {
      return localStorage.getItem(`lucheng.${name}`) ?? "";
    } catch {
      return "";
    }
  },
  set(name: string, value: string): void {
    try {
      localStorage.setItem(`lucheng.${name}`, value);
    } catch {
      // a browser that keeps nothing: the choice holds until the page is closed
    }
  },
};

function firstTheme(): Theme {
  const given = kept.get("theme");
  if (given === "dark" || given === "light") return given;
  return matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark";
}

export const theme = signal<Theme>(firstTheme());

/** The language of the account, unless the person chose one here. */
export function useLanguageOf(account: string): void {
  const chosen = kept.get("language") || account || navigator.language;
  language.value = chosen.startsWith("zh") ? "zh" : "en";
}

export function chooseLanguage(to: Language): void {
  kept.set("language", to);
  language.value = to;
}

export function chooseTheme(to: Theme): void {
  kept.set("theme", to);
  theme.value = to;
}

export function other(): { theme: Theme; language: Language } {
  return { theme: theme.value === "dark" ? "light" : "dark", language: language.value === "zh" ? "en" : "zh" };
}

effect(() => {
  document.documentElement.dataset["theme"] = theme.value;
  const colour = theme.value === "dark" ? "#10171f" : "#f3f6f8";
  document.querySelector('meta[name="theme-color"]')?.setAttribute("content", colour);
});
effect(() => {
  document.documentElement.lang = language.value === "zh" ? "zh-CN" : "en";
});
useLanguageOf("");
