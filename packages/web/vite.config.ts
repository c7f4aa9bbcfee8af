import { defineConfig } from 'vite'

// Served by the homeserver under /_evergreen/, with a policy that allows nothing inline and nothing from elsewhere.
export default defineConfig({
  base: './',
  esbuild: { jsx: 'automatic' },
  build: {
    target: 'es2022',
    modulePreload: false,
    // A picture as a `data:` address would be one more thing that the policy has to allow.
    assetsInlineLimit: 0,
  },
})
