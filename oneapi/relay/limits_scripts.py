"""Lua scripts that count in Redis. Time is that of Redis, so that hosts need not agree on it.

Each name has two keys. The first is a hash of the minute, and of requests and tokens in it and in the one before. The second
is a hash of processes: requests in flight and the second until which they count.
"""

_CLOCK = """
local now = redis.call('TIME')
local seconds, minute = tonumber(now[1]), math.floor(now[1] / 60)
local worker, lease = ARGV[1], tonumber(ARGV[2])
"""

_COUNTS = """
local function counts(key)
  local held = redis.call('HMGET', key, 'm', 'r', 'rb', 't', 'tb')
  local m, r, rb, t, tb = tonumber(held[1]), tonumber(held[2]), tonumber(held[3]), tonumber(held[4]), tonumber(held[5])
  if m == minute then return {r, rb, t, tb} end
  if m == minute - 1 then return {0, r, 0, t} end
  return {0, 0, 0, 0}
end
local function store(key, c)
  redis.call('HSET', key, 'm', minute, 'r', c[1], 'rb', c[2], 't', c[3], 'tb', c[4])
  redis.call('EXPIRE', key, 180)
end
"""

_RUNNING = """
local function put(key, count)
  if count > 0 then
    redis.call('HSET', key, worker, count .. ' ' .. (seconds + lease))
    redis.call('EXPIRE', key, 2 * lease)
  else
    redis.call('HDEL', key, worker)
  end
end
local function own(key)
  local held = redis.call('HGET', key, worker)
  return held and tonumber(string.match(held, '^%d+')) or 0
end
"""

# Arguments: process, seconds of a lease, estimated tokens, then for each name its requests and tokens a minute and its
# requests in flight, 0 for no limit. Returns 1 if the request is admitted, the millisecond of the minute, and for each name
# requests and tokens as they were before, now and in the minute before, and requests in flight.
ENTER = f"""{_CLOCK}{_COUNTS}{_RUNNING}
local ms = now[1] % 60 * 1000 + math.floor(now[2] / 1000)
local part, estimate, admitted = ms / 1000 / 60, tonumber(ARGV[3]), 1
local function running(key)
  local sum, held = 0, redis.call('HGETALL', key)
  for j = 1, #held, 2 do
    local count, till = string.match(held[j + 1], '^(%d+) (%d+)$')
    if tonumber(till) > seconds then sum = sum + count else redis.call('HDEL', key, held[j]) end
  end
  return sum
end
local function fits(limit, used, before, more)
  return limit == 0 or used + before * (1 - part) + more <= limit
end
local found, out = {{}}, {{1, ms}}
for i = 1, #KEYS, 2 do
  local at = 3 + (i - 1) / 2 * 3
  local rpm, tpm, most = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local c, flying = counts(KEYS[i]), most > 0 and running(KEYS[i + 1]) or 0
  local fit = fits(rpm, c[1], c[2], 1) and fits(tpm, c[3], c[4], math.min(estimate, tpm))
  if not fit or most > 0 and flying >= most then admitted = 0 end
  for _, number in ipairs({{c[1], c[2], c[3], c[4], flying}}) do out[#out + 1] = number end
  found[#found + 1] = {{i, c, most}}
end
out[1] = admitted
if admitted == 1 then
  for _, name in ipairs(found) do
    local i, c = name[1], name[2]
    store(KEYS[i], {{c[1] + 1, c[2], c[3] + estimate, c[4]}})
    if name[3] > 0 then put(KEYS[i + 1], own(KEYS[i + 1]) + 1) end
  end
end
return out
"""

# Arguments: process, seconds of a lease, correction of the tokens, then for each name 1 if its requests in flight count.
LEAVE = f"""{_CLOCK}{_COUNTS}{_RUNNING}
for i = 1, #KEYS, 2 do
  local c = counts(KEYS[i])
  c[3] = math.max(0, c[3] + ARGV[3])
  store(KEYS[i], c)
  if ARGV[4 + (i - 1) / 2] == '1' then put(KEYS[i + 1], own(KEYS[i + 1]) - 1) end
end
return 1
"""

# Arguments: process, seconds of a lease, requests of the process in flight.
HEARTBEAT = f"{_CLOCK}{_RUNNING}put(KEYS[2], tonumber(ARGV[3])) return 1"
