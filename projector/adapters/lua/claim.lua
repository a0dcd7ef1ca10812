#!lua
-- Short ids for sessions, unique among those claimed (contract §5, field 7).
--
-- KEYS  1: `ns:short`, a hash that holds each claim both ways: digits -> session id, and `=` .. session id -> digits;
--       behind these a blank and who is about to give them back, see retire.lua.
-- ARGV  1: how many digits; 2: a random number to begin looking from; then session id, the short id it had or ''.
-- Gives for each a short id, or '' where none was found.

local WIDE = 500             -- Fields looked at in one call.
local TRIES = 100000         -- Fields looked at for one session before it goes without, some 20 ms.

local digits = tonumber(ARGV[1])
local capacity = 10 ^ digits
local from = tonumber(ARGV[2]) % capacity
local exhausted = false

local function short_id(number) return string.format('%0' .. digits .. 'd', number % capacity) end

local function find_free()
  local looked_at = 0
  local wide = 8             -- Mostly one of the first is free; where ids are scarce the strides grow.
  while looked_at < math.min(TRIES, capacity) do
    local fields = {}
    for i = 1, wide do fields[i] = short_id(from + i - 1) end
    local holders = redis.call('HMGET', KEYS[1], unpack(fields))
    for i = 1, wide do
      if not holders[i] then
        -- The next one is looked for elsewhere: ids that follow each other are easily confused when read out.
        from = (from + i - 1 + 61803) % capacity
        return fields[i]
      end
    end
    from, looked_at = (from + wide) % capacity, looked_at + wide
    wide = math.min(2 * wide, WIDE)
  end
  exhausted = true
end

local function claim(session, had)
  local held = redis.call('HGET', KEYS[1], '=' .. session)
  if held then
    local short = string.match(held, '^%d+')
    if short ~= held then redis.call('HSET', KEYS[1], '=' .. session, short) end
    return short
  end
  local found = nil
  if #had == digits and redis.call('HEXISTS', KEYS[1], had) == 0 then
    found = had
  elseif not exhausted then
    found = find_free()
  end
  if not found then return '' end
  redis.call('HSET', KEYS[1], found, session, '=' .. session, found)
  return found
end

local claimed = {}
for i = 3, #ARGV, 2 do
  claimed[#claimed + 1] = claim(ARGV[i], ARGV[i + 1])
end
return claimed
