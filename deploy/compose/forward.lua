-- Hand each film that Orthanc is given to Hilum. Hilum's own answers are of other kinds (SR, OT) and stay.
function OnStoredInstance(instanceId, tags, metadata, origin)
   if (tags['Modality'] == 'CR' or tags['Modality'] == 'DX') and origin['RequestOrigin'] ~= 'Lua' then
      SendToModality(instanceId, 'hilum')
   end
end
