// What a page may ask of the phone: its place, its camera. Browsers give both to pages of a secure address alone.

export const secure = window.isSecureContext;

export interface Fix {
  lat: number;
  lon: number;
  accuracy_m: number;
}

const PLACE_TIMEOUT_MS = 30_000;

/** Where the phone is, WGS-84. Rejects with `denied`, `timeout` or `unavailable` as the message. */
export function takePlace(): Promise<Fix> {
  return new Promise((resolve, reject) => {
    if (!secure || !("geolocation" in navigator)) {
      reject(new Error("unavailable"));
      return;
    }
    navigator.geolocation.getCurrentPosition(
      ({ coords }) => resolve({ lat: coords.latitude, lon: coords.longitude, accuracy_m: Math.round(coords.accuracy) }),
      (error) => reject(new Error(error.code === error.PERMISSION_DENIED ? "denied" : error.code === error.TIMEOUT ? "timeout" : "unavailable")),
      { enableHighAccuracy: true, timeout: PLACE_TIMEOUT_MS, maximumAge: 0 },
    );
  });
}
