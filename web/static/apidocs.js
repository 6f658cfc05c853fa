"use strict";

window.ui = SwaggerUIBundle({
  url: document.getElementById("apidocs").dataset.url,
  dom_id: "#swagger-ui",
  validatorUrl: null,
  displayOperationId: true,
  deepLinking: true,
  jsonEditor: true,
  apisSorter: "alpha",
  presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
  plugins: [SwaggerUIBundle.plugins.DownloadUrl],
});
