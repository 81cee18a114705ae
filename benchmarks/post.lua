-- One request after another, each with a key of its own and about 560 bytes of body.
local token, counter = os.getenv("TOKEN") or "", 0
local body = [[{"type":"deployment","description":"Clear a stuck connection pool; p99 is above the objective since 09:12 UTC.","params":{"environment":"production","version":"2026.11.3","services":["billing-api"],"command":"kubectl -n billing rollout restart deployment/billing-api","reason":"Clear a stuck connection pool; p99 is above the objective since 09:12 UTC.","affected_rows":18211,"labels":["customer-facing","pci","tier-1"]}}]]
local run = (os.getenv("TAG") or "") .. tostring(os.time()) .. "-" .. tostring({}):sub(8)

function request()
  counter = counter + 1
  return wrk.format("POST", "/v1/requests", {
    ["Content-Type"] = "application/json",
    ["Authorization"] = "Bearer " .. token,
    ["Idempotency-Key"] = run .. "-" .. counter,
  }, body)
end
