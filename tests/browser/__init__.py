"""Real Chromium against a real server: flows, accessibility, policy, screenshots."""
